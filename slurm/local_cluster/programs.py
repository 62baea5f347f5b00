"""The programs of SLURM and munge on this machine, and what to install if they are missing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["find", "missing_packages", "slurm_version"]

_ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PLUGINS = ("/usr/lib/*/slurm*", "/usr/lib64/slurm", "/usr/lib/slurm", "/usr/local/lib/slurm")
_PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "scontrol": "slurm-client",
}
_PACKAGES_OF_ACCOUNTING = {
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server-core",
    "sacct": "slurm-client",
}


def _which(name: str) -> str | None:
    places = [os.environ.get("PATH", os.defpath), *_ADMINISTRATORS]
    return shutil.which(name, path=os.pathsep.join(places))


def find(name: str) -> str:
    """The path of a program. Raises FileNotFoundError if it is not installed."""
    path = _which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path


def _has_database_plugin() -> bool:
    library = "accounting_storage_mysql.so"
    return any(any(Path("/").glob(f"{place.lstrip('/')}/{library}")) for place in _PLUGINS)


def missing_packages(accounting: bool) -> list[str]:
    """Names of the Debian packages whose programs are not on this machine."""
    wanted = _PACKAGES | (_PACKAGES_OF_ACCOUNTING if accounting else {})
    missing = [package for program, package in wanted.items() if _which(program) is None]
    if accounting and not _has_database_plugin():
        missing.append("slurm-wlm-mysql-plugin")
    return sorted(set(missing))


def slurm_version() -> tuple[int, int]:
    """Year and month of the release, as (22, 5)."""
    shown = subprocess.run([find("slurmd"), "-V"], capture_output=True, text=True)
    match = re.search(r"(\d+)\.(\d+)", shown.stdout)
    if match is None:
        raise ValueError(f"slurmd -V printed {shown.stdout.strip()!r}, not a version")
    return int(match[1]), int(match[2])
