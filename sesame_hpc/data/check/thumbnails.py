"""Small grey images of faces, and how alike two of them are.

A face's thumbnail is cut by its landmarks, so it stays the same when a photograph was cropped,
scaled, brightened or compressed again. Smooth shading is taken off: all faces share it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["SIDE", "similar_pairs", "thumbnail"]

SIDE = 32
_MARGIN = 1.1
_SHADING_SIGMA = 3.0
_FEWEST_GREYS = 2.0
_ROWS_AT_ONCE = 1024

Float32 = NDArray[np.float32]
Grey = NDArray[np.uint8]


def thumbnail(grey: Grey, landmarks: NDArray[np.float64]) -> Float32 | None:
    """The face at `landmarks` ([K, 2], corner-based pixels of `grey`, uint8 [H, W]; NaN: no point).

    Returns float32 [SIDE * SIDE] of mean 0 and length 1, or None where there is nothing to see:
    outside the image, or one flat grey.
    """
    low, high = np.nanmin(landmarks, axis=0), np.nanmax(landmarks, axis=0)
    side = max(float((high - low).max()), 1.0) * _MARGIN
    if (high < 0).any() or (low > grey.shape[::-1]).any():
        return None
    face = _crop(grey, (low + high) / 2, side).astype(np.float32)
    face -= cv2.GaussianBlur(face, (0, 0), _SHADING_SIGMA)
    face -= face.mean()
    if face.std() < _FEWEST_GREYS:
        return None
    return (face / np.linalg.norm(face)).ravel()


def similar_pairs(
    thumbnails: Float32, least: float, most: int = 16
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float32]:
    """Pairs of rows of [N, D] whose inner product is at least `least`: first < second, value.

    Of a row's earlier partners the `most` alike are kept. Ordered by the second, then the first.
    Memory for 1024 N products.
    """
    firsts, seconds, values = [], [], []
    for start in range(0, len(thumbnails), _ROWS_AT_ONCE):
        block = thumbnails[start : start + _ROWS_AT_ONCE]
        products = block @ thumbnails[: start + len(block)].T
        products[np.triu_indices(len(block), start, products.shape[1])] = -1
        for row in np.flatnonzero((products >= least).any(axis=1)):
            partners = np.flatnonzero(products[row] >= least)
            if len(partners) > most:
                best = np.argpartition(products[row, partners], -most)[-most:]
                partners = np.sort(partners[best])
            firsts.append(partners)
            seconds.append(np.full(len(partners), start + row))
            values.append(products[row, partners])
    if not firsts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(values)


def _crop(grey: Grey, centre: NDArray[np.float64], side: float) -> Grey:
    """The square around `centre`, as `SIDE` pixels; the image's edge pixels continue outside it."""
    divisor = max(1, int(side / SIDE))
    height, width = grey.shape
    if divisor > 1:
        shape = (max(1, width // divisor), max(1, height // divisor))
        grey = np.asarray(cv2.resize(grey, shape, interpolation=cv2.INTER_AREA), np.uint8)
    zoom = SIDE / side * np.array([width, height]) / grey.shape[::-1]
    shift = SIDE / 2 - SIDE / side * centre + zoom / 2 - 0.5
    matrix = np.array([[zoom[0], 0, shift[0]], [0, zoom[1], shift[1]]])
    face = cv2.warpAffine(
        grey, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(face, np.uint8)
