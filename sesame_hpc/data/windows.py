"""The region of an image that belongs to a face: box protocols, and the extent of training crops.

* `square`: the square window around the box, filled from the image.
* `letterbox`: the box itself, enlarged, resized with its aspect ratio kept, black outside; the
  literal reading of the paper's section IV.C.
* `landmarks`: the square window around the tight box of the landmarks, as in most publications.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sesame_hpc.choices import BoxProtocol
from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import square_windows

__all__ = ["content_limits", "face_boxes", "reach", "tightest_sides"]

Float = NDArray[np.float64]


def face_boxes(faces: Annotations, protocol: BoxProtocol) -> Float:
    """The boxes [N, 4] of the crops, from the faces' own boxes or their landmarks.

    Points that are not labelled are left out; each face has one that is.
    """
    if protocol != "landmarks":
        return faces.boxes
    boxes = np.empty((len(faces), 4))
    for rows, points in faces.blocks():
        boxes[rows, :2], boxes[rows, 2:] = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    return boxes


def content_limits(boxes: Float, scale: ArrayLike, protocol: BoxProtocol) -> Float | None:
    """The visible region of the image, [B, 4] in pixels: letterbox's enlarged boxes; None: all."""
    if protocol != "letterbox":
        return None
    low, high = boxes[:, :2], boxes[:, 2:]
    centre, half = (low + high) / 2, (high - low) / 2
    half = half * np.broadcast_to(np.asarray(scale, dtype=np.float64), len(boxes))[:, None]
    return np.concatenate([centre - half, centre + half], axis=1)


def reach(boxes: Float, box: BoxConfig, augment: AugmentConfig) -> Float:
    """The upright squares [B, 4] that contain every crop of training and evaluation.

    A crop's window has at most side s = scale x the longer side of the box, is shifted by at most
    the fraction t = `translation` of it, and rotated by r:
    it stays within s (1/2 + t) (cos r + sin r) of the centre.
    """
    centres, sides = square_windows(boxes, max(box.train_scale[1], box.scale))
    turn = np.deg2rad(min(augment.rotation, 45.0))
    half = sides * (0.5 + augment.translation) * (np.cos(turn) + np.sin(turn))
    return np.concatenate([centres - half[:, None], centres + half[:, None]], axis=1)


def tightest_sides(boxes: Float, box: BoxConfig) -> Float:
    """Sides [B] in pixels of the smallest windows of training and evaluation."""
    return square_windows(boxes, min(box.train_scale[0], box.scale))[1]
