"""`Annotations`: a validated table of faces."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sesame_hpc.schemes import Scheme

if TYPE_CHECKING:
    from sesame_hpc.data.pack.images import StoredImages

__all__ = ["Annotations"]


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

    Raises:
        ValueError: a field has the wrong dtype, shape or length, sample ids repeat, or visibility
            contradicts the landmarks.
    """

    scheme: Scheme
    root: Path
    images: tuple[str, ...]
    boxes: np.ndarray
    landmarks: np.ndarray
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    sources: tuple[str, ...]
    sample_ids: np.ndarray
    pack: "StoredImages | None" = None
    visibility: np.ndarray | None = None
    datasets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
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
        if self.visibility is None:
            object.__setattr__(self, "visibility", np.where(self.labelled, 2, 0).astype(np.uint8))
        self._freeze("visibility", np.uint8, (faces, self.scheme.num_landmarks))
        if ((self.seen > 0) != self.labelled).any() or (self.seen > 2).any():
            raise ValueError(
                "visibility: takes 0 where landmarks are NaN, 1 (occluded) or 2 (visible) elsewhere"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> np.ndarray:
        """Which points are labelled: bool [N, K]."""
        return np.isfinite(self.landmarks).all(axis=2)

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
        return replace(
            self,
            images=tuple(self.images[row] for row in positions),
            boxes=self.boxes[positions],
            landmarks=self.landmarks[positions],
            attributes=self.attributes[positions],
            sources=tuple(self.sources[row] for row in positions),
            sample_ids=self.sample_ids[positions],
            visibility=self.seen[positions],
            datasets=tuple(self.datasets[row] for row in positions) if self.datasets else (),
        )

    def without_labels(self) -> "Annotations":
        """The same faces, none of their points labelled."""
        return replace(self, landmarks=np.full_like(self.landmarks, np.nan), visibility=None)

    def image_path(self, row: int) -> Path:
        """The image file of the face at `row`."""
        return self.root / self.images[row]

    def _freeze(self, field: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
        value = getattr(self, field)
        if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
            found = (
                f"{value.dtype} {list(value.shape)}"
                if isinstance(value, np.ndarray)
                else type(value).__name__
            )
            raise ValueError(f"{field}: is {found}; takes {dtype.__name__} {list(shape)}")
        frozen = value.copy()
        frozen.flags.writeable = False
        object.__setattr__(self, field, frozen)
