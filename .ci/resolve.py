"""Ask pip which wheels it would install on other systems; nothing is installed.

    python .ci/resolve.py [EXTRA ...]

Without arguments for the core and all extras. Fails where a package has no wheel for a system,
unless the extra is for Linux alone, and where one that is for Linux alone has them all. Needs a
package index, and hatchling.
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
EXTRAS = ("", "torch", "hub", "export", "track", "docs")
LINUX_ALONE = ("train", "timm")
"""Those that DALI and Triton belong to."""

# pip takes wheels of another system, but reads the markers of requirements for the one it runs on.
PIP = """
import json, sys
from pip._vendor.packaging import markers
here, there = markers.default_environment, json.loads(sys.argv.pop(1))
markers.default_environment = lambda: {**here(), **there}
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def build_wheels(folder: Path) -> Path:
    """The wheel of sesame-hpc in `folder`, with that of sesame-kernels beside it."""
    for project in (ROOT / "kernels", ROOT):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    return next(folder.glob("sesame_hpc-*.whl"))


def resolve(wheel: Path, extra: str, system: dict[str, Any]) -> list[str]:
    """What pip would install, as "NAME VERSION" each. Raises RuntimeError if it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-c", PIP, json.dumps(system["markers"]), "install", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), "--target", folder]
        command += ["--platform", system["platform"], "--python-version", "3.11"]
        command += ["--only-binary=:all:", "--find-links", str(wheel.parent)]
        command += ["--constraint", str(ROOT / "constraints.txt")]
        command += [f"{wheel}[{extra}]" if extra else str(wheel)]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(reason(ended.stdout, ended.stderr))
        about = (each["metadata"] for each in json.loads(report.read_text())["install"])
        return sorted(f"{each['name']} {each['version']}" for each in about)


def reason(stdout: str, stderr: str) -> str:
    """Why pip found no wheels: the conflict if it names one, else its errors."""
    conflict = stdout.partition("The conflict is caused by:\n")[2].partition("\n\n")[0]
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR")]
    lines = conflict.splitlines() or errors or stderr.splitlines()
    return "; ".join(line.strip() for line in lines)


def main(extras: list[str]) -> int:
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheels(Path(folder))
        for name, system in SYSTEMS.items():
            for extra in extras or (*EXTRAS, *LINUX_ALONE):
                what = f"{name}: {f'sesame-hpc[{extra}]' if extra else 'sesame-hpc'}"
                try:
                    found = resolve(wheel, extra, system)
                except RuntimeError as error:
                    print(f"{what}: no: {error}", flush=True)
                    failed |= extra not in LINUX_ALONE
                else:
                    print(f"{what}: {len(found)} wheels: {', '.join(found)}", flush=True)
                    failed |= extra in LINUX_ALONE
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
