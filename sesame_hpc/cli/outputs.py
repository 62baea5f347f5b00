"""Where a command writes: checked before its work begins."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from sesame_hpc.files import is_stream, temporary_name

__all__ = ["check_output_file", "check_output_folder"]

_BLOCK = bytes(4096)
_OF_A_RUN = {
    "SHA256SUMS",
    "config.yaml",
    "data.json",
    "environment.json",
    "latest.json",
    "look_alikes.json",
    "masking.json",
    "metrics.jsonl",
    "result.json",
    "scheme.yaml",
    "summary.json",
    "work.jsonl",
}


_FOLDERS_OF_A_RUN = ("checkpoints", "images", "predictions", "tensorboard")


def check_output_file(option: str, path: Path | None, *inputs: Path) -> None:
    """Raise where the file `path`, that `option` names, cannot be written; None is no file.

    Raises:
        ValueError: it is a folder, one of the `inputs`, a file of a run among them, or a file that
            already exists in another input folder.
        OSError: no permission, a full or read-only disk, a name that is too long.
    """
    if path is None or is_stream(path):
        return
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a directory; give the name of a file")
    for each in inputs:
        place, source = _resolved(path), _resolved(each)
        if place == source:
            raise ValueError(f"{option}: {path} is the input; give another file")
        if _is_of_a_run(place, source):
            raise ValueError(f"{option}: {path} is a file of the run {each}; give another file")
        if path.exists() and place.is_relative_to(source) and not _is_run(source):
            raise ValueError(f"{option}: {path} is a file of the input {each}; give a new name")
    _probe(option, path.parent, path)


def check_output_folder(
    option: str, path: Path, *inputs: Path, inside_is_fine: bool = False
) -> None:
    """Raise where nothing can be written into the folder `path`, that `option` names.

    Raises:
        ValueError: it is a file, or one of the folders `inputs`, or lies in one of them.
        OSError: as `check_output_file`.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{option}: {path} is a file; give a directory")
    for each in inputs:
        place, source = _resolved(path), _resolved(each)
        if place == source:
            raise ValueError(f"{option}: {path} is the input; give another directory")
        if inside_is_fine and _is_of_a_run(place, source):
            raise ValueError(f"{option}: {path} is part of the run {each}; give another directory")
        if place.is_relative_to(source) and not inside_is_fine:
            raise ValueError(
                f"{option}: {path} is inside the input {each}; give a directory outside it"
            )
    _probe(option, path, path)


def _is_of_a_run(place: Path, run: Path) -> bool:
    """Whether a place is a file of a run, or in one of the folders that a run writes."""
    if not _is_run(run) or not place.is_relative_to(run):
        return False
    first = place.relative_to(run).parts[:1]
    return place.name in _OF_A_RUN or first in [(folder,) for folder in _FOLDERS_OF_A_RUN]


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _probe(option: str, folder: Path, path: Path) -> None:
    """Write a block where the folder is or will be."""
    for part in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            part.lstat()  # `exists` is silent about a name that is too long
    existing = next(part for part in (folder, *folder.absolute().parents) if os.path.lexists(part))
    if not existing.is_dir():
        raise ValueError(f"{option}: {existing} is a file, not a directory")
    # The system tells only of names in directories that exist.
    longest = os.pathconf(existing, "PC_NAME_MAX")
    if any(len(os.fsencode(part)) > longest for part in path.parts):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
    probe = existing / temporary_name("probe")
    try:
        with probe.open("wb") as file:
            file.write(_BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno or 0, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):  # a read-only file system refuses that too
            probe.unlink()
