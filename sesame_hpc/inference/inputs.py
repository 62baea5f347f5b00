"""What `sesame predict` was given: images, folders of images, videos."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from sesame_hpc.data.image_files import IMAGE_SUFFIXES, files_below, is_hidden
from sesame_hpc.files import is_stream
from sesame_hpc.inference.record import RECORD_NAME, read_record

__all__ = ["VIDEO_SUFFIXES", "Found", "Input", "find_inputs"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
_NOT_A_FILE = "is a device or pipe, not a file"
_SUFFIXES = IMAGE_SUFFIXES + VIDEO_SUFFIXES


@dataclass(frozen=True)
class Input:
    """One file. `name` is its path below the folder that was given, or its file name; unique.

    `live` marks a source without an end, such as a camera.
    """

    path: Path
    name: str
    live: bool = False

    @property
    def is_video(self) -> bool:
        return self.live or self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass
class Found:
    """The files meant by some paths, a message for each path that cannot be used, and how many
    files were left out because `sesame predict` wrote them."""

    inputs: list[Input] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    own_outputs: int = 0


def find_inputs(paths: list[Path]) -> Found:
    """The files meant by `paths`, folders with all below them, each file once.

    Of folders, hidden files are left out, and images and videos that `sesame predict` drew.
    """
    found = Found()
    names: set[str] = set()
    seen: set[str] = set()
    for given in paths:
        for file in _files(given, found):
            if (place := os.path.abspath(file)) in seen:
                continue
            seen.add(place)
            name = file.relative_to(given).as_posix() if given.is_dir() else file.name
            found.inputs.append(Input(file, _unique(name, names)))
    return found


def _files(given: Path, found: Found) -> list[Path]:
    if given.is_dir():
        below = list(files_below(given, lambda error: found.failed.append(_told(error))))
        files = [
            given / path
            for path in below
            if path.suffix.lower() in _SUFFIXES and not is_hidden(path)
        ]
        written: set[Path] = set()
        for path in below:
            if path.name == RECORD_NAME:
                written |= read_record((given / path).parent)
        kept = [file for file in files if file not in written]
        found.own_outputs += len(files) - len(kept)
        streams = [file for file in kept if is_stream(file)]
        found.failed += [f"{file}: {_NOT_A_FILE}" for file in streams]
        kept = [file for file in kept if file not in streams]
        if not files:
            found.failed.append(f"{given}: holds no image or video ({', '.join(_SUFFIXES)})")
        return kept
    if not given.exists():
        found.failed.append(f"{given}: does not exist")
    elif is_stream(given):
        found.failed.append(f"{given}: {_NOT_A_FILE}")
    elif given.suffix.lower() not in _SUFFIXES:
        found.failed.append(f"{given}: is neither image nor video ({', '.join(_SUFFIXES)})")
    else:
        return [given]
    return []


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}; what is in this directory was left out"


def _unique(name: str, taken: set[str]) -> str:
    path, number, unique = Path(name), 2, name
    while unique in taken:
        unique = path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix()
        number += 1
    taken.add(unique)
    return unique
