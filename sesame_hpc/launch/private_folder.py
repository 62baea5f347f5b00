"""A folder of pickles that only this user can change, since jobs run what is in it."""

import os
import shlex
import stat
from pathlib import Path

__all__ = ["make_private"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: Path) -> None:
    """Make the folder of the jobs' pickles one that only this user writes: a job runs its pickle.

    Raises PermissionError if it is another user's, or if others may rename it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.geteuid():
        raise PermissionError(
            f"{folder} belongs to another user, who could change what your jobs run; "
            "give another output"
        )
    if about.st_mode & _OTHERS_WRITE:
        folder.chmod(stat.S_IMODE(about.st_mode) & ~_OTHERS_WRITE)
    parent = folder.resolve().parent.stat()
    if parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX:
        raise PermissionError(
            f"{folder.resolve().parent} can be written by everyone, who could change what your "
            f"jobs run: chmod o-w {shlex.quote(str(folder.resolve().parent))}"
        )
