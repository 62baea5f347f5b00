"""`Annotations`: a validated table of faces."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sesame_hpc.data.string_column import StringColumn, Texts
from sesame_hpc.schemes import Scheme

if TYPE_CHECKING:
    from sesame_hpc.data.pack.images import StoredImages

__all__ = ["Annotations"]

_ROWS_AT_ONCE = 1 << 14
_OF_POINTS = ("landmarks", "visibility")
_VISIBLE = np.uint8(2)


@dataclass(frozen=True, eq=False)
class Annotations:
    """N faces, one row each. Coordinates are corner-based pixels of the whole image.

    `images` are N paths relative to `root`. `boxes` are float64 [N, 4] x_min, y_min, x_max, y_max;
    `landmarks` float64 [N, K, 2] x, y, as labelled: they may lie outside box and image, and are NaN
    where a point is not labelled. `visibility` is uint8 [N, K]: 0 such a point, 1 occluded, 2
    visible; None takes 2 for all that are labelled.
    `attributes` are bool [N, A] with A `attribute_names`. `sources` say where each face was read
    ("file:line"; line 1 where a file holds one face). `sample_ids` are int64 [N]: the face's row
    in the whole file, unchanged by `select`. The arrays are read-only. `pack` holds the images of
    a packed data set; without one they are files below `root`. `datasets` name the data set that
    each face is of, where several were read together; else they are empty.

    A million faces of 98 points take 1.6 GB of landmarks. `select` copies them only once
    `landmarks` or `visibility` is asked for as a whole; until then `points` and `blocks` read what
    is asked of the table that was selected from, which may be a mapped file. Texts are kept as a
    `StringColumn`.

    Raises:
        ValueError: a field has the wrong dtype, shape or length, sample ids repeat, or visibility
            contradicts the landmarks.
    """

    scheme: Scheme
    root: Path
    images: Texts
    boxes: np.ndarray
    landmarks: np.ndarray
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    sources: Texts
    sample_ids: np.ndarray
    pack: "StoredImages | None" = None
    visibility: np.ndarray | None = field(default_factory=lambda: None)
    datasets: Texts = ()

    def __post_init__(self) -> None:
        for name in ("images", "sources", "datasets"):
            object.__setattr__(self, name, StringColumn.of(getattr(self, name)))
        faces = len(self.images)
        if len(self.sources) != faces:
            raise ValueError(f"sources: {len(self.sources)} for {faces} images; takes one each")
        self._freeze("boxes", np.float64, (faces, 4))
        self._freeze("landmarks", np.float64, (faces, self.scheme.num_landmarks, 2))
        self._freeze("attributes", np.bool_, (faces, len(self.attribute_names)))
        self._freeze("sample_ids", np.int64, (faces,))
        if len(np.unique(self.sample_ids)) != faces:
            raise ValueError("sample_ids: some repeat; they must be unique")
        if len(self.datasets) not in (0, faces):
            raise ValueError(f"datasets: {len(self.datasets)} for {faces} faces; takes one each")
        points = (faces, self.scheme.num_landmarks)
        if self.visibility is None:
            object.__setattr__(self, "visibility", _of_labels(self.landmarks))
        self._freeze("visibility", np.uint8, points)
        for rows in _blocks(faces):
            seen, known = self.seen[rows], _is_labelled(self.landmarks[rows])
            if ((seen > 0) != known).any() or (seen > _VISIBLE).any():
                raise ValueError(
                    "visibility: takes 0 where landmarks are NaN, 1 (occluded) or 2 (visible) "
                    "elsewhere"
                )

    def __getattr__(self, name: str) -> Any:
        """`landmarks` and `visibility` of selected faces, made when they are first asked for."""
        if name not in _OF_POINTS or "_of_table" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        table, rows = self.__dict__["_of_table"]
        column = _selected(getattr(table, name), rows)
        object.__setattr__(self, name, column)
        return column

    def __getstate__(self) -> dict[str, Any]:
        """Without the table that faces were selected from, of which they may be few."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> np.ndarray:
        """Which points are labelled: bool [N, K]."""
        return np.asarray(self.seen > 0)

    @property
    def seen(self) -> np.ndarray:
        """`visibility`, which is never None once the table is made: uint8 [N, K]."""
        assert self.visibility is not None, "set when the table is made"
        return self.visibility

    def select(self, rows: np.ndarray) -> "Annotations":
        """The faces at `rows`: integer positions in any order, without repeats, or a bool [N] mask.

        Raises:
            ValueError: a mask of another length, or a row twice.
            IndexError: a row out of range.
        """
        positions = np.asarray(rows)
        if positions.dtype == np.bool_:
            if positions.shape != (len(self),):
                raise ValueError(f"rows: a mask of shape {positions.shape} for {len(self)} faces")
            positions = np.flatnonzero(positions)
        positions = positions.astype(np.int64)
        sample_ids = self.sample_ids[positions]
        if len(np.unique(sample_ids)) != len(sample_ids):
            raise ValueError("sample_ids: some repeat; they must be unique")
        small = {
            "boxes": self.boxes[positions],
            "attributes": self.attributes[positions],
            "sample_ids": sample_ids,
        }
        for array in small.values():
            array.flags.writeable = False
        texts = {"images": self.images, "sources": self.sources}
        if self.datasets:
            texts["datasets"] = self.datasets
        columns = {name: StringColumn.of(each).select(positions) for name, each in texts.items()}
        chosen = object.__new__(Annotations)
        kept = {name: value for name, value in vars(self).items() if name not in _OF_POINTS}
        chosen.__dict__.update(kept | small | columns, _of_table=self._origin(positions))
        return chosen

    def points(self, rows: np.ndarray) -> np.ndarray:
        """The landmarks of the faces at `rows`, int64 [B]: float64 [B, K, 2]."""
        if "landmarks" in self.__dict__:
            return self.landmarks[rows]
        table, positions = self.__dict__["_of_table"]
        return table.landmarks[positions[rows]]

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All faces' landmarks, some thousand at a time: their rows, and float64 [B, K, 2]."""
        for rows in _blocks(len(self)):
            yield rows, self.points(np.arange(rows.start, rows.stop))

    def _origin(self, positions: np.ndarray) -> tuple["Annotations", np.ndarray]:
        """The table that holds the landmarks, and the places there of rows of this one."""
        if "landmarks" in self.__dict__:
            return self, positions
        table, rows = self.__dict__["_of_table"]
        return table, rows[positions]

    def without_labels(self) -> "Annotations":
        """The same faces, none of their points labelled."""
        return replace(self, landmarks=np.full_like(self.landmarks, np.nan), visibility=None)

    def image_path(self, row: int) -> Path:
        """The image file of the face at `row`."""
        return self.root / self.images[row]

    def _freeze(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
            found = (
                f"{value.dtype} {list(value.shape)}"
                if isinstance(value, np.ndarray)
                else type(value).__name__
            )
            raise ValueError(f"{name}: is {found}; takes {dtype.__name__} {list(shape)}")
        frozen = value
        if value.flags.writeable:
            frozen = value.copy()
            frozen.flags.writeable = False
        object.__setattr__(self, name, frozen)


def _blocks(faces: int) -> Iterator[slice]:
    for first in range(0, faces, _ROWS_AT_ONCE):
        yield slice(first, min(faces, first + _ROWS_AT_ONCE))


def _is_labelled(landmarks: np.ndarray) -> np.ndarray:
    return np.isfinite(landmarks).all(axis=-1)


def _of_labels(landmarks: np.ndarray) -> np.ndarray:
    """2 where a point is labelled, else 0; without memory of its own where all are."""
    shape = landmarks.shape[:-1]
    if all(_is_labelled(landmarks[rows]).all() for rows in _blocks(len(landmarks))):
        return np.broadcast_to(_VISIBLE, shape)
    visibility = np.zeros(shape, np.uint8)
    for rows in _blocks(len(landmarks)):
        visibility[rows] = _VISIBLE * _is_labelled(landmarks[rows])
    visibility.flags.writeable = False
    return visibility


def _selected(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if not any(column.strides):  # one value for all
        value = column.flat[0] if column.size else _VISIBLE
        return np.broadcast_to(value, (len(rows), *column.shape[1:]))
    chosen = column[rows]
    chosen.flags.writeable = False
    return chosen
