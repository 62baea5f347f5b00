"""Where Triton and Inductor keep what they compile. Imports neither."""

import os
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path

__all__ = ["compile_caches", "file_system", "keep_caches_on_the_node"]

_VARIABLES = {"TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor"}


def keep_caches_on_the_node(environ: MutableMapping[str, str]) -> None:
    """In a SLURM job, set variables that the user has not set to a folder of this user and job in
    the node's temporary folder.

    The defaults are in the home folder, which on clusters is shared: every rank of every node
    would look for hundreds of small files there. Does nothing if the folder cannot be made, or
    belongs to another user, who could give this process code to run.
    """
    job = environ.get("SLURM_JOB_ID")
    if job is None or all(name in environ for name in _VARIABLES):
        return
    folder = Path(tempfile.gettempdir()) / f"sesame-{os.getuid()}-{job}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        return
    for name, kind in _VARIABLES.items():
        environ.setdefault(name, str(folder / kind))


def compile_caches(environ: Mapping[str, str]) -> dict[str, Path]:
    """{"Triton", "Inductor": folder}, by the variables or the libraries' own defaults."""
    triton = Path.home() / ".triton" / "cache"
    inductor = Path(tempfile.gettempdir()) / f"torchinductor_{environ.get('USER', os.getuid())}"
    return {
        "Triton": Path(environ.get("TRITON_CACHE_DIR", triton)),
        "Inductor": Path(environ.get("TORCHINDUCTOR_CACHE_DIR", inductor)),
    }


def file_system(path: Path, mounts: str | None = None) -> str:
    """The type of the file system of a folder, which need not exist, as "nfs4"; "" if unknown.

    `mounts` has the lines of /proc/mounts.
    """
    try:
        lines = Path("/proc/mounts").read_text() if mounts is None else mounts
    except OSError:
        return ""
    wanted, best, kind = os.path.abspath(path), "", ""
    for fields in map(str.split, lines.splitlines()):
        place = fields[1].replace("\\040", " ") if len(fields) > 2 else ""
        inside = place == "/" or wanted == place or wanted.startswith(f"{place}/")
        if place and inside and len(place) >= len(best):
            best, kind = place, fields[2]
    return kind
