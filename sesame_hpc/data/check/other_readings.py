"""What else the numbers of landmarks could mean than pixels of their image."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["OTHER_READINGS", "read_otherwise"]

Float = NDArray[np.float64]

_COPIES = (224, 256, 512, 640, 1024)


def _scaled(factor: float) -> Callable[[Float, Float], Float]:
    return lambda points, size: points * factor


def _parts(whole: float) -> Callable[[Float, Float], Float]:
    return lambda points, size: points * size / whole


OTHER_READINGS: dict[str, Callable[[Float, Float], Float]] = {
    "percent of the image's size": _parts(100),
    "thousandths of the image's size": _parts(1000),
    **{f"pixels of a copy of {side} x {side}": _parts(side) for side in _COPIES},
    "pixels of a copy of half the size": _scaled(2),
    "pixels of a copy of a quarter of the size": _scaled(4),
    "pixels of a copy of twice the size": _scaled(0.5),
    "y counted from below": lambda points, size: points * (1, -1) + (0, size[1]),
    "y, x instead of x, y": lambda points, size: points[:, ::-1],
}
"""What they could mean, and the pixels that it would be: of points [K, 2] and (width, height)."""


def read_otherwise(points: Float, size: tuple[int, int]) -> list[Float]:
    """The points [K, 2] in pixels under each of `OTHER_READINGS`."""
    return [read(points, np.array(size, np.float64)) for read in OTHER_READINGS.values()]
