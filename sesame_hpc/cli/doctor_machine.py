"""What `sesame doctor` finds on the machine: Python, packages, compiler, cores, memory, SLURM."""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from sesame_hpc.cli.diagnosis import Diagnosis, Status
from sesame_hpc.compile_caches import compile_caches, file_system
from sesame_hpc.training.environment import required_packages

__all__ = ["machine_diagnoses"]

_PYTHON = (3, 11)
_GIB = 2**30
_DISK_GIB = 5
_SHM_GIB = 1
_SHARED_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "panfs", "wekafs"}
)
_REINSTALL = f"{Path(sys.executable).name} -m pip install --upgrade"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _python() -> Diagnosis:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= _PYTHON:
        return Diagnosis("Python", Status.OK, found)
    return Diagnosis("Python", Status.BROKEN, found, "install Python 3.11 or newer")


def _package(name: str, least: str) -> Diagnosis:
    install = f'{_REINSTALL} "{name}>={least}"'
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Diagnosis(name, Status.BROKEN, "not installed", install)
    if _numbers(found) < _numbers(least):
        return Diagnosis(name, Status.BROKEN, f"{found}, older than {least}", install)
    return Diagnosis(name, Status.OK, found)


def _compiles(compiler: str) -> bool:
    source = "#include <Python.h>\n#include <vector>\nint main() { return 0; }\n"
    command = [compiler, "-fsyntax-only", f"-I{sysconfig.get_path('include')}", "-xc++", "-"]
    try:
        return subprocess.run(command, input=source, text=True, capture_output=True).returncode == 0
    except OSError:
        return False


def _compiler() -> Diagnosis:
    """Ops that are built at first use, and Triton's launchers on GPUs, need it."""
    name = os.environ.get("CXX", "c++")
    path = shutil.which(name)
    fix = "on Debian or Ubuntu: apt-get install g++ python3-dev"
    if path is None:
        return Diagnosis("C++ compiler", Status.NOTE, f"no {name}; GPUs need one", fix)
    if not _compiles(path):
        return Diagnosis("C++ compiler", Status.NOTE, f"{path} does not compile with Python.h", fix)
    return Diagnosis("C++ compiler", Status.OK, path)


def _ninja() -> Diagnosis:
    path = shutil.which("ninja")
    if path:
        return Diagnosis("ninja on PATH", Status.OK, path)
    beside = Path(sys.executable).parent / "ninja"
    fix = f"export PATH={beside.parent}:$PATH" if beside.exists() else f"{_REINSTALL} ninja"
    return Diagnosis("ninja on PATH", Status.NOTE, "not found; ops built at first use need it", fix)


def _memory() -> Diagnosis:
    if not hasattr(os, "sysconf"):
        return Diagnosis("memory", Status.NOTE, "this system does not say how much there is")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return Diagnosis("memory", Status.OK, f"{total:.1f} GiB")


def _disk() -> Diagnosis:
    free = shutil.disk_usage(Path.cwd()).free / _GIB
    found = f"{free:.1f} GiB free in the current directory"
    if free >= _DISK_GIB:
        return Diagnosis("disk", Status.OK, found)
    return Diagnosis("disk", Status.NOTE, found, "runs with checkpoints may need more; set output=")


def _shared_memory() -> Diagnosis:
    name, folder = "shared memory", Path("/dev/shm")
    if not folder.is_dir():
        return Diagnosis(name, Status.NOTE, "no /dev/shm; several ranks on a node may need it")
    size = shutil.disk_usage(folder).total / _GIB
    found = f"/dev/shm of {size:.2f} GiB"
    if size >= _SHM_GIB:
        return Diagnosis(name, Status.OK, found)
    fix = "for several ranks on a node, give the container more: --shm-size=8g"
    return Diagnosis(name, Status.NOTE, found, fix)


def _locked_memory() -> Diagnosis:
    import resource  # not on Windows, where nothing trains

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY:
        return Diagnosis("locked memory", Status.OK, "unlimited")
    found = f"limit of {soft / 2**20:.0f} MiB"
    if soft >= _GIB:
        return Diagnosis("locked memory", Status.OK, found)
    fix = "matters only for InfiniBand between nodes: ulimit -l unlimited"
    return Diagnosis("locked memory", Status.NOTE, found, fix)


def _compile_caches() -> Diagnosis:
    folders = compile_caches(os.environ)
    name, found = "compile caches", ", ".join(f"{of}: {folder}" for of, folder in folders.items())
    shared = {file_system(folder) for folder in folders.values()} & _SHARED_FILE_SYSTEMS
    if not shared:
        return Diagnosis(name, Status.OK, found)
    fix = "jobs keep them on the node; outside of jobs, TRITON_CACHE_DIR=/tmp/... avoids it"
    return Diagnosis(name, Status.NOTE, f"{found} ({', '.join(sorted(shared))}, shared)", fix)


def _slurm() -> Diagnosis:
    paths = {name: shutil.which(name) for name in ("sbatch", "squeue")}
    missing = [name for name, path in paths.items() if path is None]
    if not missing:
        return Diagnosis("SLURM", Status.OK, ", ".join(str(path) for path in paths.values()))
    found = f"{' and '.join(missing)} not found; training on this machine needs neither"
    return Diagnosis("SLURM", Status.NOTE, found, "to submit jobs, use a login node of the cluster")


def machine_diagnoses(trains: bool = True) -> Iterator[Diagnosis]:
    """`trains`: whether the extra `train` is installed; otherwise nothing of it is looked for."""
    yield _python()
    for name, least in required_packages(*["train"] * trains).items():
        yield _package(name, least)
    yield _memory()
    yield _disk()
    if not trains:
        return
    yield _compiler()
    yield _ninja()
    yield _shared_memory()
    yield _locked_memory()
    yield _compile_caches()
    yield _slurm()
