"""Boxes from landmarks: what a second crop of a face is taken from.

A detector's boxes differ from those that a network was trained on, and from face to face. The
landmarks that it finds in such a box are close enough to say where the box should have been.
"""

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.choices import BoxProtocol
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.windows import face_boxes
from sesame_hpc.inference.box_problem import box_problem

__all__ = ["BoxOffsets", "box_offsets", "refined_boxes"]

Float = NDArray[np.float64]
BoxOffsets = tuple[float, float, float, float]
"""From the landmarks' tight box to the face's: to be added to x_min, y_min, x_max and y_max, in
fractions of the tight box's longer side."""


def box_offsets(faces: Annotations, protocol: BoxProtocol) -> BoxOffsets:
    """The medians over faces, of the boxes that their crops are made from."""
    landmarks = faces.landmarks
    tight, sides = _tight_boxes(np.nanmin(landmarks, axis=1), np.nanmax(landmarks, axis=1))
    boxes = face_boxes(faces, protocol)
    left, top, right, bottom = np.median((boxes - tight) / sides, axis=0).tolist()
    return left, top, right, bottom


def refined_boxes(
    points: Float, offsets: BoxOffsets, asked: Float, width: int, height: int
) -> Float:
    """Boxes [F, 4] around points [F, K, 2] of one image; where unusable, those `asked` for."""
    tight, sides = _tight_boxes(points.min(axis=1), points.max(axis=1))
    boxes = tight + sides * np.asarray(offsets)
    for row, box in enumerate(boxes):
        if not np.isfinite(box).all() or box_problem(box, width, height):
            boxes[row] = asked[row]
    return boxes


def _tight_boxes(low: Float, high: Float) -> tuple[Float, Float]:
    """Boxes [F, 4] and their longer sides [F, 1], from corners [F, 2]."""
    return np.concatenate([low, high], axis=1), (high - low).max(axis=1, keepdims=True)
