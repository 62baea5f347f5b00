"""Files with the same bytes, whatever their names."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.checksums import file_digest
from sesame_hpc.data.annotations import Annotations

__all__ = ["are_copies"]


def are_copies(faces: Annotations, others: Iterable[Annotations]) -> NDArray[np.bool_]:
    """Which faces have an image file that is a copy of one of the others', bool [N].

    Images in packs, and files that cannot be read, do not count as copies. Only files of equal size
    are read.
    """
    theirs = {
        table.image_path(row) for table in others if table.pack is None for row in range(len(table))
    }
    mine = [faces.image_path(row) for row in range(len(faces))]
    by_size: dict[int, set[Path]] = {}
    for path in theirs:
        if size := _size(path):
            by_size.setdefault(size, set()).add(path)
    digests: dict[Path, str | None] = {}

    def digest(path: Path) -> str | None:
        if path not in digests:
            digests[path] = _digest(path)
        return digests[path]

    def is_copy(path: Path) -> bool:
        near = by_size.get(_size(path) or 0, ())
        return bool(near) and digest(path) in {digest(other) for other in near} - {None}

    return np.array([is_copy(path) for path in mine], dtype=np.bool_)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None
