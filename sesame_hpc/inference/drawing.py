"""Faces drawn over the image in which they were found: landmarks, box and confidence."""

import math

import cv2
import numpy as np

from sesame_hpc.data.viewing.draw import draw_box, draw_face
from sesame_hpc.schemes import Scheme

__all__ = ["draw_found"]

_FINE = 420.0
"""Faces of fewer pixels are drawn finer than a pixel, so that the face stays visible below."""

_MOST_FINENESS = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 22.0
_LEAST_TEXT, _MOST_TEXT = 8.0, 48.0
_WHITE, _DARK = (255, 255, 255), (16, 16, 16)


def draw_found(
    image: np.ndarray, points: np.ndarray, box: np.ndarray, confidence: float, scheme: Scheme
) -> None:
    """Draw a face into `image` (uint8 RGB [H, W, 3]), in place.

    `points` [K, 2] and `box` (x_min, y_min, x_max, y_max) are in pixels; `confidence` is a
    probability, written beside the box as a percentage unless it is NaN. Widths and text follow
    the size of the face.
    """
    height, width = image.shape[:2]
    extent = float(np.clip((box[2:] - box[:2]).max(), 1, max(height, width)))
    fineness = int(np.clip(math.ceil(_FINE / extent), 1, _MOST_FINENESS))
    text = "" if math.isnan(confidence) else f"{100 * confidence:.0f} %"
    tall = float(np.clip(extent / 12, _LEAST_TEXT, _MOST_TEXT))
    margin = 3 * tall
    low = np.minimum(box[:2], points.min(axis=0)) - margin
    high = np.maximum(box[2:], points.max(axis=0)) + margin
    size = np.array([width, height])
    (left, top), (right, bottom) = (np.clip(end, 0, size).astype(int) for end in (low, high))
    if right <= left or bottom <= top:
        return
    region = image[top:bottom, left:right]
    origin = np.array([left, top], dtype=np.float64)
    fine = _enlarged(region, fineness)
    corners = ((box.reshape(2, 2) - origin) * fineness).reshape(4)
    side = extent * fineness
    fine = draw_box(fine, corners, width=max(1, round(side / 256)))
    fine = draw_face(fine, (points - origin) * fineness, scheme, side=side)
    if text:
        _write(fine, text, corners, tall * fineness)
    region[:] = _reduced(fine, fineness)


def _enlarged(region: np.ndarray, factor: int) -> np.ndarray:
    """Every pixel `factor` times in both directions, which `_reduced` turns back exactly."""
    return np.repeat(np.repeat(region, factor, axis=0), factor, axis=1)


def _reduced(fine: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return fine
    shape = fine.shape[1] // factor, fine.shape[0] // factor
    return np.asarray(cv2.resize(fine, shape, interpolation=cv2.INTER_AREA))


def _write(image: np.ndarray, text: str, box: np.ndarray, tall: float) -> None:
    """Text above the box's upper left corner, or within it where there is no room above."""
    scale = tall / _FONT_HEIGHT
    stroke = max(1, round(tall / 9))
    (wide, high), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    gap = round(tall / 3)
    above = round(box[1]) - gap
    bottom = above if above - high >= gap else round(max(box[1], 0)) + high + gap
    left = int(np.clip(round(box[0]), 0, max(0, image.shape[1] - wide)))
    for colour, width in ((_DARK, 3 * stroke), (_WHITE, stroke)):
        cv2.putText(image, text, (left, bottom), _FONT, scale, colour, width, cv2.LINE_AA)
