"""Ask pip which wheels it would install on other systems; nothing is installed.

    python .ci/resolve.py [EXTRA ...]

Without arguments for the core and the extras that are not for Linux alone. Fails where a package has
no wheel for a system, naming the first. Needs a package index, and hatchling.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = {"macOS, arm64": "macosx_14_0_arm64", "Windows, x86-64": "win_amd64"}
EXTRAS = ("", "torch", "hub", "export")


def wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def resolve(requirement: str, platform: str) -> list[str]:
    """The distributions that pip would install, as NAME VERSION. Raises RuntimeError if it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", "--report", str(report), "--target", folder]
        command += ["--platform", platform, "--python-version", "3.11", "--only-binary=:all:"]
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
        for system, platform in SYSTEMS.items():
            for extra in extras or EXTRAS:
                what = f"sesame-hpc[{extra}]" if extra else "sesame-hpc"
                try:
                    found = resolve(f"{built}[{extra}]" if extra else str(built), platform)
                except RuntimeError as error:
                    print(f"{system}: {what}: {error}", file=sys.stderr)
                    failed = True
                else:
                    print(f"{system}: {what}: {len(found)} wheels: {', '.join(found)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
