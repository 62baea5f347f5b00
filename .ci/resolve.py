"""Ask pip which wheels it would install on other systems; nothing is installed.

    python .ci/resolve.py [EXTRA ...]

Without arguments for the core and the extras that are not for Linux alone. Fails where a package
has no wheel for a system, naming the first. Needs a package index, and hatchling.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = {
    "macOS, arm64": {
        "platform": "macosx_14_0_arm64",
        "markers": {
            "os_name": "posix",
            "platform_machine": "arm64",
            "platform_system": "Darwin",
            "sys_platform": "darwin",
        },
    },
    "Windows, x86-64": {
        "platform": "win_amd64",
        "markers": {
            "os_name": "nt",
            "platform_machine": "AMD64",
            "platform_system": "Windows",
            "sys_platform": "win32",
        },
    },
}
EXTRAS = ("", "torch", "hub", "export")

# pip takes wheels of another system, but reads the markers of requirements for the one it runs on.
PIP = """
import json, sys
from pip._vendor.packaging import markers
here, there = markers.default_environment, json.loads(sys.argv.pop(1))
markers.default_environment = lambda: {**here(), **there}
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def resolve(requirement: str, system: dict[str, Any]) -> list[str]:
    """What pip would install, as "NAME VERSION" each. Raises RuntimeError if it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-c", PIP, json.dumps(system["markers"]), "install", "--dry-run"]
        command += ["--ignore-installed", "--quiet", "--report", str(report), "--target", folder]
        command += ["--platform", system["platform"], "--python-version", "3.11"]
        command += ["--only-binary=:all:"]
        command += ["--constraint", str(ROOT / "constraints.txt"), requirement]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
            raise RuntimeError("\n".join(errors) or ended.stderr)
        about = (each["metadata"] for each in json.loads(report.read_text())["install"])
        return sorted(f"{each['name']} {each['version']}" for each in about)


def main(extras: list[str]) -> int:
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        built = wheel(Path(folder))
        for name, system in SYSTEMS.items():
            for extra in extras or EXTRAS:
                what = f"sesame-hpc[{extra}]" if extra else "sesame-hpc"
                try:
                    found = resolve(f"{built}[{extra}]" if extra else str(built), system)
                except RuntimeError as error:
                    print(f"{name}: {what}: {error}", file=sys.stderr)
                    failed = True
                else:
                    print(f"{name}: {what}: {len(found)} wheels: {', '.join(found)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
