"""The table of faces while it is being read: arrays that grow, and no object for each face."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.string_column import StringColumn

__all__ = ["FaceTable"]

_FIRST, _GROWTH, _TEXTS_AT_ONCE = 1024, 1.25, 1 << 14


class _GrowingArray:
    """Rows of one shape; `resize` moves large arrays without a copy."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._array = np.empty((_FIRST, *shape), dtype)
        self._count = 0

    def append(self, row: object) -> None:
        if self._count == len(self._array):
            self._resize(int(_GROWTH * self._count))
        self._array[self._count] = row
        self._count += 1

    def finish(self) -> np.ndarray:
        self._resize(self._count)
        self._array.flags.writeable = False
        return self._array

    def _resize(self, rows: int) -> None:
        self._array.resize((rows, *self._array.shape[1:]), refcheck=False)


class _GrowingTexts:
    def __init__(self) -> None:
        self._full: list[StringColumn] = []
        self._last: list[str] = []

    def append(self, text: str) -> None:
        self._last.append(text)
        if len(self._last) == _TEXTS_AT_ONCE:
            self._full.append(StringColumn(self._last))
            self._last = []

    def finish(self) -> StringColumn:
        return StringColumn.joined([*self._full, StringColumn(self._last)])


class FaceTable:
    """Faces of K points and A attributes, one after another.

    Attributes:
        names: each image's name, once, in the order in which they were first named.
    """

    def __init__(self, points: int, attributes: int) -> None:
        self.names: dict[str, int] = {}
        self._named_by = _GrowingTexts()
        self._images = _GrowingArray((), np.int64)
        self._sources = _GrowingTexts()
        self._columns = {
            "landmarks": _GrowingArray((points, 2), np.float64),
            "visibility": _GrowingArray((points,), np.uint8),
            "boxes": _GrowingArray((4,), np.float64),
            "attributes": _GrowingArray((attributes,), np.bool_),
        }
        self._all_visible = True

    def name(self, image: str, source: str) -> int:
        """The number of an image's name, which is at `source`."""
        if (number := self.names.get(image)) is None:
            number = self.names[image] = len(self.names)
            self._named_by.append(source)
        return number

    def named_by(self, image: str) -> str:
        """The source that was first to name an image."""
        return self._named_by.finish()[self.names[image]]

    def append(
        self,
        image: str,
        source: str,
        landmarks: NDArray[np.float64],
        visibility: NDArray[np.uint8],
        box: NDArray[np.float64],
        attributes: Sequence[bool],
    ) -> None:
        """Add a face: `landmarks` [K, 2], `visibility` [K], `box` [4], `attributes` [A]."""
        self._images.append(self.name(image, source))
        self._sources.append(source)
        row = (landmarks, visibility, box, attributes)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        self._all_visible = self._all_visible and bool((visibility == 2).all())

    def finish(self, found: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[int, str, str]]]:
        """The columns of `Annotations` for the faces whose image is in `found`, by its own name.

        Also the position, image and source of each other face. The table is used up.
        """
        files = StringColumn(found.get(name, "") for name in self.names)
        images, sources = self._images.finish(), self._sources.finish()
        if self._all_visible:
            del self._columns["visibility"]
        columns = {name: column.finish() for name, column in self._columns.items()}
        is_there = np.array([name in found for name in self.names], np.bool_)[images]
        absent: list[tuple[int, str, str]] = []
        if not is_there.all():
            names, rows = list(self.names), np.flatnonzero(~is_there).tolist()
            absent = [(row, names[images[row]], sources[row]) for row in rows]
            kept = np.flatnonzero(is_there)
            images, sources = images[kept], sources.select(kept)
            columns = {name: column[kept] for name, column in columns.items()}
        return {"images": files.select(images), "sources": sources, **columns}, absent
