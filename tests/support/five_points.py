"""Faces with five landmarks."""

from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.schemes import Scheme

__all__ = ["FIVE", "faces"]

FIVE = Scheme(
    name="five",
    points=("a", "b", "c", "d", "e"),
    regions={"all": (0, 1, 2, 3, 4)},
    mirror=(1, 0, 2, 4, 3),
    normaliser=(0, 1),
    edges=(),
)


def faces(names: list[str]) -> Annotations:
    """A face with five landmarks in an image of each name."""
    count = len(names)
    landmarks = np.arange(count * 10, dtype=np.float64).reshape(count, 5, 2)
    return Annotations(
        scheme=FIVE,
        root=Path(),
        images=tuple(names),
        boxes=np.tile([0.0, 0.0, 9.0, 9.0], (count, 1)),
        landmarks=landmarks,
        attributes=np.zeros((count, 0), dtype=bool),
        attribute_names=(),
        sources=tuple(f"t.csv:{row}" for row in range(count)),
        sample_ids=np.arange(count),
    )
