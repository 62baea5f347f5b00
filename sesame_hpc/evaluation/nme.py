"""Normalised mean error, Eqs. 3 and 4 of the paper, in float64 numpy.

Points that are not labelled (NaN) have no error, which is NaN too, and means are over the others. A
face without both points of the normaliser has no error at all, as in mmpose's `keypoint_nme`: its
errors would be in another unit than those of the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.schemes import Scheme

__all__ = [
    "NmeTable",
    "measured_faces",
    "nme_table",
    "normaliser_distances",
    "pixel_distances",
    "point_errors",
    "region_errors",
]

_FACES_AT_ONCE = 1 << 14


def normaliser_distances(landmarks: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Eq. 4: distance of the outer eye corners, float64 [N], from landmarks [N, K, 2] in pixels.

    NaN where one of the two is not labelled. Raises ValueError naming the rows in which it is zero.
    """
    left, right = scheme.normaliser
    distances = np.linalg.norm(landmarks[:, left] - landmarks[:, right], axis=-1)
    bad = np.flatnonzero(distances <= 0)
    if len(bad):
        raise ValueError(f"the outer eye corners of rows {bad[:10].tolist()} coincide")
    return distances


def point_errors(predicted: np.ndarray, truth: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Distances over the normaliser of `truth`, float64 [N, K]; both inputs [N, K, 2] in pixels.

    NaN for points that `truth` does not label and in faces without the normaliser; a prediction
    that is not finite for a point that is labelled has an infinite error.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions are {predicted.shape}, labels {truth.shape}")
    distances = pixel_distances(predicted, truth)
    for rows in _blocks(len(truth)):
        some = distances[rows]
        some[np.isnan(some) & np.isfinite(truth[rows]).all(axis=-1)] = np.inf
    distances /= normaliser_distances(truth, scheme)[:, None]
    return distances


def pixel_distances(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances of points [N, K, 2], float64 [N, K], without another array of that size."""
    distances = np.empty(truth.shape[:-1])
    for rows in _blocks(len(truth)):
        distances[rows] = np.linalg.norm(predicted[rows] - truth[rows], axis=-1)
    return distances


def _blocks(faces: int) -> Iterator[slice]:
    return (slice(first, first + _FACES_AT_ONCE) for first in range(0, faces, _FACES_AT_ONCE))


def measured_faces(errors: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Which faces have an error, bool [N], from `point_errors` [N, K].

    Raises ValueError without faces, or if none has both points of the normaliser.
    """
    if not len(errors):
        raise ValueError("no faces to evaluate")
    measured = ~np.isnan(errors).all(axis=1)
    if not measured.any():
        first, second = scheme.normaliser
        raise ValueError(
            f"none of the {len(errors)} faces has both points of the normaliser labelled, {first} "
            f"({scheme.points[first]}) and {second} ({scheme.points[second]}), whose distance "
            "errors are divided by; a scheme of your own can name two others"
        )
    return measured


def region_errors(errors: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Mean of `point_errors` [N, K] within each of the scheme's R regions; float64 [N, R].

    NaN in a face that has no labelled point of a region.
    """
    columns = [mean_known(errors[:, list(points)], 1) for points in scheme.regions.values()]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class NmeTable:
    """NME in percent: mean over points (Eq. 3), then faces; the same within each region.

    A region is NaN if no face has a labelled point of it. `faces` are those that have an error.
    """

    nme: float
    regions: dict[str, float]
    faces: int

    @property
    def worst_region(self) -> str:
        known = [name for name, nme in self.regions.items() if not np.isnan(nme)]
        return max(known, key=lambda region: self.regions[region])


def nme_table(errors: np.ndarray, scheme: Scheme) -> NmeTable:
    """Summarise `point_errors` [N, K]. Raises ValueError as `measured_faces`."""
    measured = measured_faces(errors, scheme)
    percent = 100.0 * (errors if measured.all() else errors[measured])
    by_region = mean_known(region_errors(percent, scheme), 0)
    regions = dict(zip(scheme.regions, map(float, by_region), strict=True))
    return NmeTable(float(mean_known(percent, 1).mean()), regions, len(percent))
