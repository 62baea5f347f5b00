"""The machine, the versions and the source that a run came from."""

import os
import platform
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["cpu_name", "environment", "git_state", "required_packages"]

_DISTRIBUTION = "sesame-hpc"
_CHECKOUT = Path(__file__).resolve().parents[2]
_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_NNODES",
    "SLURM_NTASKS",
)


def required_packages() -> dict[str, str]:
    """The packages that this install was declared to need, each with its least version."""
    needs = metadata.requires(_DISTRIBUTION) or []
    found = (re.match(r"([\w.-]+)\s*>=\s*([\d.]+)\s*$", need) for need in needs)
    return {match[1]: match[2] for match in found if match}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in (_DISTRIBUTION, *required_packages()):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _git(*arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(_CHECKOUT), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def git_state() -> dict[str, Any] | None:
    """{"revision", "dirty"} of the checkout that this code runs from; None where it is none."""
    if not (_CHECKOUT / ".git").exists():
        return None
    revision = _git("rev-parse", "HEAD")
    if revision is None:
        return None
    return {"revision": revision, "dirty": _git("status", "--porcelain") != ""}


def cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def environment() -> dict[str, Any]:
    """What `environment.json` holds, ready for JSON.

    Versions (None: not installed), Python, git revision (None: not a checkout), GPU names, CPU
    name and cores, host, SLURM ids (only those that are set), command line, working directory.
    """
    import torch

    return {
        "command": shlex.join(sys.argv),
        "directory": str(Path.cwd()),
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": _versions(),
        "cuda": torch.version.cuda,
        "git": git_state(),
        "gpus": _gpus(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "slurm": {name: os.environ[name] for name in _SLURM if name in os.environ},
    }
