"""Affine geometry between image and crop, in float64.

All coordinates are corner-based pixels: the first pixel's centre is (0.5, 0.5) and an image of
width W spans [0, W]. A matrix is the upper two rows of a homogeneous transform, [2, 3] or, for a
batch, [B, 2, 3], and maps column vectors (x, y, 1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DecodeWindow",
    "apply",
    "compose",
    "crop_matrix",
    "decode_window",
    "invert",
    "square_windows",
]

Float = NDArray[np.float64]

LARGEST_BILINEAR_SHRINK = 2.0
"""Above this many image pixels per crop pixel, bilinear sampling skips some of them."""

FARTHEST_PIXEL = 2**30


def square_windows(boxes: Float, scale: ArrayLike = 1.0) -> tuple[Float, Float]:
    """Square windows around boxes.

    Args:
        boxes: [B, 4] x_min, y_min, x_max, y_max in pixels.
        scale: side of the window over the longer side of the box; a number or [B].

    Returns:
        Centres [B, 2] and sides [B], in pixels.

    Raises:
        ValueError: a box that is not finite or is empty; names its row.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    low, high = boxes[:, :2], boxes[:, 2:]
    extent = high - low
    sides = extent.max(axis=1)
    bad = ~(np.isfinite(boxes).all(axis=1) & (extent >= 0).all(axis=1) & (sides > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"box {row} is {boxes[row].tolist()}: a box needs finite x_min <= x_max and "
            "y_min <= y_max, and not both equal"
        )
    return (low + high) / 2, sides * np.asarray(scale, dtype=np.float64)


def crop_matrix(
    boxes: Float,
    size: int,
    *,
    scale: ArrayLike = 1.0,
    degrees: ArrayLike = 0.0,
    shift: ArrayLike = 0.0,
    flip: ArrayLike = False,
) -> Float:
    """Matrices from image pixels to the pixels of a `size` x `size` crop.

    In this order: the square window is scaled to the crop, rotated around its centre, shifted, and
    mirrored (x' = size - x).

    Args:
        boxes: [B, 4] x_min, y_min, x_max, y_max in pixels.
        size: side of the crop in pixels.
        scale: side of the window over the longer side of the box; a number or [B].
        degrees: rotation, positive is counter-clockwise; a number or [B].
        shift: how far the content moves right and down, in fractions of the side; [2] or [B, 2].
        flip: whether the crop is mirrored; a bool or [B].

    Returns:
        [B, 2, 3] float64.

    Raises:
        ValueError: a degenerate box (see `square_windows`).
    """
    centres, sides = square_windows(boxes, scale)
    zoom = size / sides
    radians = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    cosine, sine = zoom * np.cos(radians), zoom * np.sin(radians)
    matrix = np.empty((len(centres), 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = cosine, sine
    matrix[:, 1, 0], matrix[:, 1, 1] = -sine, cosine
    target = size * (0.5 + np.broadcast_to(np.asarray(shift, dtype=np.float64), centres.shape))
    matrix[:, :, 2] = target - np.einsum("bij,bj->bi", matrix[:, :, :2], centres)
    mirrored = np.broadcast_to(np.asarray(flip, dtype=bool), sides.shape)
    matrix[mirrored, 0] *= -1
    matrix[mirrored, 0, 2] += size
    return matrix


def apply(matrix: Float, points: Float) -> Float:
    """Transform points [..., P, 2] by matrices [..., 2, 3] (leading axes broadcast)."""
    return points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def invert(matrix: Float) -> Float:
    """Inverse of [..., 2, 3] matrices.

    Raises:
        ValueError: a matrix is singular.
    """
    linear = matrix[..., :2]
    if (np.linalg.det(linear) == 0).any():
        raise ValueError("a singular affine matrix has no inverse")
    inverse = np.linalg.inv(linear)
    return np.concatenate([inverse, -inverse @ matrix[..., 2:]], axis=-1)


def compose(outer: Float, inner: Float) -> Float:
    """The matrix that applies `inner`, then `outer`; [..., 2, 3]."""
    product = outer[..., :2] @ inner
    product[..., 2] += outer[..., 2]
    return product


HALF = 0.5
"""The shrink factor that averages 2 x 2 pixels, for which there is a fast path."""


@dataclass(frozen=True)
class DecodeWindow:
    """The region of each image to decode, and the remaining transform to the crop.

    `start` and `end` are int32 [B, 2] (row, column), never negative, possibly beyond the image,
    whose size is not known here. The region is shrunk by `shrink` (float32 [B]: 1, 1/2, 1/4 and
    so on) with its first corner kept in place; `matrix` (float32 [B, 2, 3]) maps the result's
    pixels to the crop.
    """

    start: NDArray[np.int32]
    end: NDArray[np.int32]
    shrink: NDArray[np.float32]
    matrix: NDArray[np.float32]


def decode_window(matrix: Float, size: int, limits: Float | None = None) -> DecodeWindow:
    """Split image-to-crop matrices [B, 2, 3] into region, antialiased shrinking and warp.

    The region covers the crop with a margin as wide as the filters, so the crop's pixels do not
    depend on it; its size is a multiple of the blocks that shrinking averages. The split is exact:
    shrink and matrix compose to the given matrix. Outside `limits` ([B, 4] x_min, y_min, x_max,
    y_max, rounded to pixels) nothing is decoded, and the crop is black.
    """
    pixels_per_cell = 1 / np.sqrt(np.abs(np.linalg.det(matrix[:, :, :2])))
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], dtype=np.float64)
    seen = apply(invert(matrix), np.broadcast_to(corners, (len(matrix), 4, 2)))
    margin = (3 * pixels_per_cell + 2)[:, None]
    shrink = _shrink(pixels_per_cell)
    first, last = np.floor(seen.min(axis=1) - margin), np.ceil(seen.max(axis=1) + margin)
    if limits is not None:
        first = np.maximum(first, limits[:, :2].round())
    start = np.clip(first, 0, FARTHEST_PIXEL)
    last += (start - last) % (1 / shrink[:, None])
    if limits is not None:
        last = np.minimum(last, limits[:, 2:].round())
    end = np.clip(last, start + 1, FARTHEST_PIXEL + 1)
    rest = matrix.copy()
    rest[:, :, 2] = apply(matrix, start[:, None])[:, 0]
    rest[:, :, :2] /= shrink.astype(np.float64)[:, None, None]
    return DecodeWindow(
        start=start[:, ::-1].astype(np.int32),
        end=end[:, ::-1].astype(np.int32),
        shrink=shrink,
        matrix=rest.astype(np.float32),
    )


def _shrink(pixels_per_cell: Float) -> NDArray[np.float32]:
    """The first of 1, 1/2, 1/4, ... that leaves at most `LARGEST_BILINEAR_SHRINK` to the warp."""
    halvings = np.ceil(np.log2(pixels_per_cell / LARGEST_BILINEAR_SHRINK))
    return np.exp2(-np.maximum(halvings, 0)).astype(np.float32)
