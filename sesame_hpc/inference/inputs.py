"""What `sesame predict` was given: images, folders of images, videos."""

from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.inference.images import IMAGE_SUFFIXES

__all__ = ["VIDEO_SUFFIXES", "Input", "find_inputs"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")


@dataclass(frozen=True)
class Input:
    """One file. `name` is its path below the folder that was given, or its file name; unique."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def find_inputs(paths: list[Path]) -> tuple[list[Input], list[str]]:
    """The files meant by `paths`, folders with all below them; and a message for each bad path."""
    found: list[Input] = []
    faults: list[str] = []
    taken: set[str] = set()
    for given in paths:
        files = _files(given)
        if isinstance(files, str):
            faults.append(files)
            continue
        for file in files:
            name = file.relative_to(given).as_posix() if given.is_dir() else file.name
            found.append(Input(file, _unique(name, taken)))
    return found, faults


def _files(given: Path) -> list[Path] | str:
    suffixes = IMAGE_SUFFIXES + VIDEO_SUFFIXES
    if given.is_dir():
        files = [
            path
            for path in sorted(given.rglob("*"))
            if path.suffix.lower() in suffixes
            and not any(part.startswith(".") for part in path.relative_to(given).parts)
        ]
        return files or f"{given}: holds no image or video ({', '.join(suffixes)})"
    if not given.exists():
        return f"{given}: does not exist"
    if given.suffix.lower() not in suffixes:
        return f"{given}: is neither image nor video ({', '.join(suffixes)})"
    return [given]


def _unique(name: str, taken: set[str]) -> str:
    path, number, unique = Path(name), 2, name
    while unique in taken:
        unique = path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix()
        number += 1
    taken.add(unique)
    return unique
