"""File systems of a test's own, where the machine lets it mount one."""

import filecmp
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["copy_at_one_instant", "make_ext4", "mounted"]

_BYTES, _MOST_COPIES = 64 << 20, 100


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[bool]:
    """A file system at `place`; whether the machine allows it."""
    place.mkdir(exist_ok=True)
    if subprocess.run(["mount", *options, str(place)], capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", str(place)], check=True)


def make_ext4(image: Path) -> bool:
    """Make a file an empty ext4 disk; whether the machine has what it takes."""
    with image.open("wb") as file:
        file.truncate(_BYTES)
    if shutil.which("mkfs.ext4") is None:
        return False
    made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True)
    return made.returncode == 0


def copy_at_one_instant(file: Path, copy: Path) -> None:
    """Copy a file into which the kernel may be writing: until it is the same afterwards."""
    for _ in range(_MOST_COPIES):
        shutil.copyfile(file, copy)
        if filecmp.cmp(file, copy, shallow=False):
            return
    raise TimeoutError(f"{file} changes all the time")
