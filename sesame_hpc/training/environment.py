"""The machine, package versions and source revision of a run."""

import os
import platform
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["cpu_name", "environment", "git_state", "required_packages", "torch_report"]

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


_NEED = re.compile(r"([\w.-]+)\s*>=\s*([\d.]+)\s*(?:;\s*extra == ['\"]([\w-]+)['\"]\s*)?$")


def required_packages(*extras: str) -> dict[str, str]:
    """The packages that the core and `extras` require, each with its minimum version."""
    found = map(_NEED.match, metadata.requires(_DISTRIBUTION) or [])
    return {match[1]: match[2] for match in found if match and match[3] in (None, *extras)}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in (_DISTRIBUTION, *required_packages("train")):
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
    """{"revision", "dirty"} of the checkout that this code runs from; None if it is not one."""
    if not (_CHECKOUT / ".git").exists():
        return None
    revision = _git("rev-parse", "HEAD")
    if revision is None:
        return None
    return {"revision": revision, "dirty": _git("status", "--porcelain") != ""}


def cpu_name() -> str:
    """The processor's model, as torch's collector finds it."""
    from torch.utils import collect_env

    found = re.search(r"^Model name:\s*(.+)$", collect_env.get_cpu_info(collect_env.run), re.M)
    return found[1] if found else platform.processor() or platform.machine()


def torch_report() -> dict[str, Any]:
    """What `python -m torch.utils.collect_env` prints, by its own names, ready for JSON.

    Takes some seconds: it runs compilers and package managers for their versions.
    """
    from torch.utils import collect_env

    return dict(collect_env.get_env_info()._asdict())


def environment() -> dict[str, Any]:
    """One start of a run, as `environment.json` holds it, ready for JSON.

    Versions (None: not installed), Python, git revision (None: not a checkout), GPUs and their
    driver, CPU model and cores, host, SLURM ids (only those that are set), command line, working
    directory.
    """
    import torch
    from torch.utils import collect_env

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]

    return {
        "command": shlex.join(sys.argv),
        "directory": str(Path.cwd()),
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": _versions(),
        "cuda": torch.version.cuda,
        "git": git_state(),
        "gpus": gpus,
        "driver": collect_env.get_nvidia_driver_version(collect_env.run) if gpus else None,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "slurm": {name: os.environ[name] for name in _SLURM if name in os.environ},
    }
