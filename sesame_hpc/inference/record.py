"""The record of what `sesame predict` wrote into a folder, by which it knows its own files."""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sesame_hpc.files import write_json_atomic

__all__ = ["RECORD_NAME", "read_record", "write_record"]

RECORD_NAME = ".sesame-predict.json"


def read_record(folder: Path) -> set[Path]:
    """The files below `folder` that `sesame predict` wrote; none without a record."""
    path = folder / RECORD_NAME
    try:
        names = [PurePosixPath(name) for name in json.loads(path.read_bytes())["written"]]
        if any(name.is_absolute() or ".." in name.parts for name in names):
            raise ValueError("a name that is not below the folder")
        return {folder / name for name in names}
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(
            f"{path}: is not what sesame predict wrote; remove it, and those files of that folder "
            "that are outputs"
        ) from None


def write_record(folder: Path, files: Iterable[Path]) -> None:
    """Note `files` below `folder`, in place of what was noted."""
    names = sorted(file.relative_to(folder).as_posix() for file in files)
    write_json_atomic(folder / RECORD_NAME, {"written": names})
