"""Normalised mean error, Eqs. 3 and 4 of the paper, in float64 numpy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sesame_hpc.schemes import Scheme

__all__ = ["NmeTable", "nme_table", "normaliser_distances", "point_errors"]


def normaliser_distances(landmarks: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Eq. 4: distance of the outer eye corners, float64 [N], from landmarks [N, K, 2] in pixels.

    Raises ValueError naming the rows where it is zero or not finite.
    """
    left, right = scheme.normaliser
    distances = np.linalg.norm(landmarks[:, left] - landmarks[:, right], axis=-1)
    bad = np.flatnonzero(~(distances > 0))
    if len(bad):
        raise ValueError(f"the outer eye corners of rows {bad[:10].tolist()} coincide")
    return distances


def point_errors(predicted: np.ndarray, truth: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Distances over the normaliser of `truth`, float64 [N, K]; both inputs [N, K, 2] pixels."""
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions are {predicted.shape}, labels {truth.shape}")
    distances = np.linalg.norm(predicted - truth, axis=-1)
    return distances / normaliser_distances(truth, scheme)[:, None]


@dataclass(frozen=True)
class NmeTable:
    """NME in percent: over all points (Eq. 3), then faces; and the same within each region."""

    nme: float
    regions: dict[str, float]
    faces: int

    def to_json(self) -> dict[str, Any]:
        return {"nme": self.nme, "regions": self.regions, "faces": self.faces}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "NmeTable":
        return cls(record["nme"], record["regions"], record["faces"])

    @property
    def worst_region(self) -> str:
        return max(self.regions, key=lambda region: self.regions[region])


def nme_table(errors: np.ndarray, scheme: Scheme) -> NmeTable:
    """Summarise `point_errors` [N, K]; N is at least 1."""
    if not len(errors):
        raise ValueError("no faces to evaluate")
    percent = 100.0 * errors
    regions = {name: float(percent[:, rows].mean()) for name, rows in _rows(scheme).items()}
    return NmeTable(float(percent.mean(axis=1).mean()), regions, len(errors))


def _rows(scheme: Scheme) -> dict[str, list[int]]:
    return {name: list(points) for name, points in scheme.regions.items()}
