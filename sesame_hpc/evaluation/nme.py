"""Normalised mean error, Eqs. 3 and 4 of the paper, in float64 numpy."""

from dataclasses import dataclass

import numpy as np

from sesame_hpc.schemes import Scheme

__all__ = ["NmeTable", "nme_table", "normaliser_distances", "point_errors", "region_errors"]


def normaliser_distances(landmarks: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Eq. 4: distance of the outer eye corners, float64 [N], from landmarks [N, K, 2] in pixels.

    Raises ValueError naming the rows in which it is zero or not finite.
    """
    left, right = scheme.normaliser
    distances = np.linalg.norm(landmarks[:, left] - landmarks[:, right], axis=-1)
    bad = np.flatnonzero(~(distances > 0))
    if len(bad):
        raise ValueError(f"the outer eye corners of rows {bad[:10].tolist()} coincide")
    return distances


def point_errors(predicted: np.ndarray, truth: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Distances over the normaliser of `truth`, float64 [N, K]; both inputs [N, K, 2] in pixels."""
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions are {predicted.shape}, labels {truth.shape}")
    distances = np.linalg.norm(predicted - truth, axis=-1)
    return distances / normaliser_distances(truth, scheme)[:, None]


def region_errors(errors: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Mean of `point_errors` [N, K] within each of the scheme's R regions; float64 [N, R]."""
    columns = [errors[:, list(points)].mean(axis=1) for points in scheme.regions.values()]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class NmeTable:
    """NME in percent: mean over points (Eq. 3), then faces; the same within each region."""

    nme: float
    regions: dict[str, float]
    faces: int

    @property
    def worst_region(self) -> str:
        return max(self.regions, key=lambda region: self.regions[region])


def nme_table(errors: np.ndarray, scheme: Scheme) -> NmeTable:
    """Summarise `point_errors` [N, K]; N is at least 1."""
    if not len(errors):
        raise ValueError("no faces to evaluate")
    percent = 100.0 * errors
    by_region = region_errors(percent, scheme).mean(axis=0)
    regions = dict(zip(scheme.regions, map(float, by_region), strict=True))
    return NmeTable(float(percent.mean(axis=1).mean()), regions, len(errors))
