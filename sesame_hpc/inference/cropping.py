"""Crops of faces without DALI: the same pixels as in evaluation, by numpy and OpenCV.

A crop is an axis-aligned resampling. Blocks of pixels are averaged until no more than
`LARGEST_BILINEAR_SHRINK` of them fall on a crop pixel; then it is two small matrices of bilinear
weights, one per axis.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config import BoxConfig
from sesame_hpc.data.geometry import crop_matrix, decode_window
from sesame_hpc.data.windows import content_limits

__all__ = ["crop_faces", "crop_image"]


def crop_faces(
    image: NDArray[np.uint8], boxes: NDArray[np.float64], size: int, box: BoxConfig
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Square crops around boxes, as `box` says: its `scale` and, for letterbox, what is black.

    Args:
        image: uint8 [H, W, 3] RGB.
        boxes: float64 [F, 4] x_min, y_min, x_max, y_max, corner-based pixels.

    Returns:
        float32 [F, 3, size, size] in [0, 1], and the matrices from image pixels to crop pixels,
        float64 [F, 2, 3].

    Raises:
        ValueError: a box that is not finite or has no extent.
    """
    matrices = crop_matrix(boxes, size, scale=box.scale)
    limits = content_limits(boxes, box.scale, box.protocol)
    crops = [
        crop_image(image, matrix, size, None if limits is None else limits[row])
        for row, matrix in enumerate(matrices)
    ]
    return np.array(crops, dtype=np.float32).reshape(-1, 3, size, size), matrices


def crop_image(
    image: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    size: int,
    limits: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """One crop, float32 [3, size, size] in [0, 1].

    `matrix` [2, 3] from image to crop pixels neither turns nor shears; beyond `limits` [4]
    (x_min, y_min, x_max, y_max, rounded to pixels) the crop is black.
    """
    first, last = np.zeros(2, dtype=np.int64), np.array(image.shape[:2])
    if limits is not None:
        first = np.clip(limits[1::-1].round(), 0, last).astype(np.int64)
        last = np.clip(limits[:1:-1].round(), 0, last).astype(np.int64)
    window = decode_window(matrix[None], size)
    first, last = np.maximum(first, window.start[0]), np.minimum(last, window.end[0])
    if (last <= first).any():
        return np.zeros((3, size, size), dtype=np.float32)
    region = image[first[0] : last[0], first[1] : last[1]]
    block = round(1 / float(window.shrink[0]))
    region = _block_averages(region, block).astype(np.float32)
    zoom = np.diag(matrix)[::-1]
    offset = matrix[::-1, 2] + zoom * first
    down, across = (
        _bilinear(region.shape[axis], size, float(zoom[axis] * block), float(offset[axis]))
        for axis in (0, 1)
    )
    rows = np.tensordot(down, region, (1, 0))
    return np.clip(np.tensordot(rows, across, (1, 1)).transpose(1, 0, 2) / 255, 0, 1)


def _block_averages(region: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
    """Averages of block x block pixels; the last row and column are repeated to fill a block."""
    if block == 1:
        return region
    if block > min(region.shape[:2]):
        return _large_block_averages(region, block)
    down, right = (-extent % block for extent in region.shape[:2])
    whole = cv2.copyMakeBorder(region, 0, down, 0, right, cv2.BORDER_REPLICATE)
    shape = whole.shape[1] // block, whole.shape[0] // block
    return cv2.resize(whole, shape, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _large_block_averages(region: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
    """The same without the repeated pixels in memory: a block may be far larger than the region."""
    sums: NDArray[Any] = region
    for axis in (0, 1):
        lacking = -region.shape[axis] % block
        last = sums.take([-1], axis).astype(np.float64) * lacking
        starts = np.arange(0, region.shape[axis], block)
        sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float64) / block
        sums[(slice(None),) * axis + (slice(-1, None),)] += last / block
    return np.rint(sums).astype(np.uint8)


def _bilinear(count: int, size: int, zoom: float, offset: float) -> NDArray[np.float32]:
    """[size, count]: from `count` pixels to crop pixels at zoom * x + offset; black beyond."""
    places = (np.arange(size) + 0.5 - offset) / zoom - 0.5
    return np.maximum(0, 1 - np.abs(np.arange(count) - places[:, None])).astype(np.float32)
