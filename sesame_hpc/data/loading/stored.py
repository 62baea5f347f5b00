"""From the pixels of original images to those that are stored: a pack may hold parts, shrunk."""

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import apply, compose, invert

__all__ = ["as_stored"]

Float = NDArray[np.float64]


def as_stored(
    faces: Annotations, rows: NDArray[np.int64], matrices: Float, limits: Float | None
) -> tuple[Float, Float | None]:
    """What leads from stored images to crops.

    Args:
        faces: their images are files, or in a pack.
        rows: int64 [B] of the faces.
        matrices: [B, 2, 3] from pixels of the original images to those of the crops.
        limits: [B, 4] x_min, y_min, x_max, y_max in pixels of the original images, or None.

    Returns:
        The same for pixels of the images as they are stored.
    """
    if faces.pack is None:
        return matrices, limits
    to_stored = faces.pack.matrices(faces.sample_ids[rows])
    if limits is not None:
        limits = apply(to_stored, limits.reshape(-1, 2, 2)).reshape(-1, 4)
    return compose(matrices, invert(to_stored)), limits
