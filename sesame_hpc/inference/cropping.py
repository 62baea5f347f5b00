"""Crops of faces without DALI: the same pixels as in evaluation, by numpy and OpenCV.

A crop is an axis-aligned resampling, so it is two small matrices, one an axis, around the pixels
of its window. Each joins the steps of the DALI graph: shrinking by a triangle filter down to
`LARGEST_BILINEAR_SHRINK` pixels a cell, then bilinear sampling; zero beyond the picture.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.geometry import crop_matrix, decode_window

__all__ = ["crop_faces"]

_AVERAGE_ABOVE = 6
"""Picture pixels per crop pixel from which blocks are averaged first, down to half of that."""


def crop_faces(
    image: NDArray[np.uint8], boxes: NDArray[np.float64], size: int, scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Square crops around boxes, each window `scale` times the longer side of its box.

    Args:
        image: uint8 [H, W, 3] RGB.
        boxes: float64 [F, 4] x_min, y_min, x_max, y_max, corner-based pixels.

    Returns:
        float32 [F, 3, size, size] in [0, 1], and the matrices from picture pixels to crop pixels,
        float64 [F, 2, 3].

    Raises:
        ValueError: a box that is not finite or has no extent.
    """
    matrices = crop_matrix(boxes, size, scale=scale)
    crops = [_crop(image, matrix, size) for matrix in matrices]
    return np.array(crops, dtype=np.float32).reshape(-1, 3, size, size), matrices


def _crop(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """float32 [3, size, size]; `matrix` [2, 3] neither turns nor shears."""
    block = _block(1 / float(matrix[0, 0]))
    if block > 1:
        image, matrix = _averaged(image, matrix, size, block)
    window = decode_window(matrix[None], size)
    extent = np.array(image.shape[:2])
    start = np.minimum(window.start[0], extent - 1)
    end = np.minimum(window.end[0], extent)
    region = image[start[0] : end[0], start[1] : end[1]].astype(np.float32)
    shrink = float(window.shrink[0])
    down, across = (
        _axis_weights(count, size, shrink, zoom, float(zoom * first + offset))
        for count, zoom, first, offset in zip(
            region.shape[:2], np.diag(matrix)[::-1], start, matrix[::-1, 2], strict=True
        )
    )
    rows = np.tensordot(down, region, (1, 0))
    return np.clip(np.tensordot(rows, across, (1, 1)).transpose(1, 0, 2) / 255, 0, 1)


def _block(pixels_per_cell: float) -> int:
    return int(pixels_per_cell / (_AVERAGE_ABOVE / 2)) if pixels_per_cell >= _AVERAGE_ABOVE else 1


def _averaged(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, block: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The crop's window averaged in blocks of pixels, and the matrix from there to the crop."""
    window = decode_window(matrix[None], size)
    extent = np.array(image.shape[:2])
    first = np.minimum(window.start[0], extent - 1) // block * block
    last = np.minimum(window.end[0], extent)
    region = image[first[0] : last[0], first[1] : last[1]]
    missing = -(last - first) % block
    whole = cv2.copyMakeBorder(region, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    shape = whole.shape[1] // block, whole.shape[0] // block
    averaged = cv2.resize(whole, shape, interpolation=cv2.INTER_AREA).astype(np.uint8)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ first[::-1]
    moved[:, :2] *= block
    return averaged, moved


def _axis_weights(
    count: int, size: int, shrink: float, zoom: float, offset: float
) -> NDArray[np.float32]:
    """[size, count]: from `count` pixels to crop pixels at zoom * pixel + offset."""
    places = (np.arange(size) + 0.5 - offset) / zoom * shrink - 0.5
    if shrink == 1:
        return np.maximum(0, 1 - np.abs(np.arange(count) - places[:, None])).astype(np.float32)
    shrunk = int(np.ceil(count * shrink))
    centres = ((np.arange(shrunk) + 0.5) / shrink).astype(np.float32)
    distances = np.abs(np.arange(count, dtype=np.float32) + 0.5 - centres[:, None])
    triangle = np.maximum(np.float32(1e-12), 1 - distances * np.float32(shrink))
    triangle /= triangle.sum(axis=1, keepdims=True)
    weights = np.zeros((size, count), dtype=np.float32)
    first = np.floor(places).astype(np.int64)
    for neighbour in (first, first + 1):
        share = 1 - np.abs(neighbour - places)
        there = (neighbour >= 0) & (neighbour < shrunk)
        weights[there] += triangle[neighbour[there]] * share[there, None].astype(np.float32)
    return weights
