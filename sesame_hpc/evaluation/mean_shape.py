"""The mean shape of labelled faces, for drawings to scale."""

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.schemes import Scheme

__all__ = ["mean_shape", "shape_of_faces"]

_MOST_FACES = 2000
_ROUNDS = 3


def shape_of_faces(faces: Annotations) -> np.ndarray | None:
    """`mean_shape` of at most 2,000 of the faces, evenly spaced."""
    rows = np.unique(np.linspace(0, len(faces) - 1, min(len(faces), _MOST_FACES)).astype(np.int64))
    return mean_shape(faces.select(rows).landmarks, faces.scheme)


def mean_shape(landmarks: np.ndarray, scheme: Scheme) -> np.ndarray | None:
    """The mean of landmarks [N, K, 2] after generalised Procrustes analysis; float64 [K, 2].

    Each face is moved, turned and scaled to fit the mean of all in least squares over its labelled
    points (Gower, "Generalized Procrustes analysis", Psychometrika 40, 1975). The normaliser has
    length 1, it points as in the images on average, and the centroid is the origin. NaN for a point
    that no face has labelled; None where no face has both points of the normaliser.
    """
    left, right = scheme.normaliser
    points = landmarks[..., 0] + 1j * landmarks[..., 1]
    axis = points[:, right] - points[:, left]
    usable = np.isfinite(axis) & (np.abs(axis) > 0)
    if not usable.any():
        return None
    points, axis = points[usable], axis[usable]
    middle = (points[:, left] + points[:, right]) / 2
    shape = _mean((points - middle[:, None]) / axis[:, None])
    for _ in range(_ROUNDS):
        shape = _mean(_fitted(points, shape))
        shape /= shape[right] - shape[left]
    shape *= np.exp(1j * _usual_angle(axis))
    shape -= np.nanmean(shape)
    return np.stack([shape.real, shape.imag], axis=1)


def _mean(points: np.ndarray) -> np.ndarray:
    """[N, K] complex -> [K], over what is known."""
    return mean_known(points.real, 0) + 1j * mean_known(points.imag, 0)


def _fitted(points: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Faces [N, K] moved, turned and scaled to `shape` [K], over their known points."""
    known = ~np.isnan(points)
    target = np.where(known, shape, np.nan)
    centred = points - np.nanmean(points, axis=1, keepdims=True)
    target_centre = np.nanmean(target, axis=1, keepdims=True)
    products = np.nansum(centred.conj() * (target - target_centre), axis=1, keepdims=True)
    squares = np.nansum(np.abs(centred) ** 2, axis=1, keepdims=True)
    return centred * (products / squares) + target_centre


def _usual_angle(axis: np.ndarray) -> float:
    """The direction of the mean unit vector: faces that are turned either way cancel."""
    return float(np.angle((axis / np.abs(axis)).mean()))
