"""Which image files are read, in one place; and which files are ignored."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = [
    "IMAGE_KINDS",
    "IMAGE_SUFFIXES",
    "VALID_IMAGES",
    "files_below",
    "is_hidden",
    "is_image_name",
]

IMAGE_KINDS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WebP": (".webp",),
}
"""The kinds of image that are read, by training, checks and prediction alike; their suffixes."""

IMAGE_SUFFIXES = tuple(suffix for suffixes in IMAGE_KINDS.values() for suffix in suffixes)

VALID_IMAGES = f"{', '.join(list(IMAGE_KINDS)[:-1])} and {list(IMAGE_KINDS)[-1]}"


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def is_hidden(path: Path | PurePosixPath) -> bool:
    """Whether a file is a system's own: dot files, macOS's `._x` twins and `__MACOSX` folders."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts if part != "..")


def files_below(folder: Path) -> Iterator[PurePosixPath]:
    """All files below a folder, hidden ones too, as paths relative to it, in sorted order.

    Links to folders are not followed. A folder that cannot be listed is skipped.
    """
    for parent, folders, names in os.walk(folder):
        folders.sort()
        below = PurePosixPath(Path(parent).relative_to(folder).as_posix())
        yield from (below / name for name in sorted(names))
