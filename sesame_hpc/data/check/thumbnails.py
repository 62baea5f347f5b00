"""Small grey images of faces.

A face's thumbnail is cut by its landmarks, so it stays the same when a photograph was cropped,
scaled, brightened or compressed again. Smooth shading is taken off: all faces share it.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["SIDE", "Thumbnail", "thumbnails_of"]

SIDE = 32
_MARGIN = 1.1
_SHADING_SIGMA = 3.0
_FEWEST_GREYS = 2.0

Thumbnail = NDArray[np.float16]
Grey = NDArray[np.uint8]


def thumbnails_of(
    grey: Grey, faces: Iterable[NDArray[np.float64] | None]
) -> list[Thumbnail | None]:
    """The faces at their landmarks ([K, 2], corner-based pixels of `grey`, uint8 [H, W]; NaN: no
    point).

    Each float16 [SIDE * SIDE] of mean 0 and length 1, or None where there is nothing to see:
    outside the image, one flat grey, no landmarks.
    """
    shrunk: dict[int, Grey] = {}
    return [None if face is None else _thumbnail(grey, face, shrunk) for face in faces]


def _thumbnail(
    grey: Grey, landmarks: NDArray[np.float64], shrunk: dict[int, Grey]
) -> Thumbnail | None:
    low, high = np.nanmin(landmarks, axis=0), np.nanmax(landmarks, axis=0)
    side = max(float((high - low).max()), 1.0) * _MARGIN
    if (high < 0).any() or (low > grey.shape[::-1]).any():
        return None
    face = _crop(grey, (low + high) / 2, side, shrunk).astype(np.float32)
    face -= cv2.GaussianBlur(face, (0, 0), _SHADING_SIGMA)
    face -= face.mean()
    if face.std() < _FEWEST_GREYS:
        return None
    return (face / np.linalg.norm(face)).ravel().astype(np.float16)


def _crop(grey: Grey, centre: NDArray[np.float64], side: float, shrunk: dict[int, Grey]) -> Grey:
    """The square around `centre`, as `SIDE` pixels; the image's edge pixels continue outside it.

    `shrunk` has the image shrunk by what other faces on it needed.
    """
    divisor = max(1, int(side / SIDE))
    height, width = grey.shape
    if divisor > 1:
        if divisor not in shrunk:
            shape = (max(1, width // divisor), max(1, height // divisor))
            small = cv2.resize(grey, shape, interpolation=cv2.INTER_AREA)
            shrunk[divisor] = np.asarray(small, np.uint8)
        grey = shrunk[divisor]
    zoom = SIDE / side * np.array([width, height]) / grey.shape[::-1]
    shift = SIDE / 2 - SIDE / side * centre + zoom / 2 - 0.5
    matrix = np.array([[zoom[0], 0, shift[0]], [0, zoom[1], shift[1]]])
    face = cv2.warpAffine(
        grey, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(face, np.uint8)
