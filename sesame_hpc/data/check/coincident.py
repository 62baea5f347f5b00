"""The check for two points at one place that are apart in all other faces.

Tools write a point that was not labelled where another one is, or a click twice. Points that nearly
coincide in some faces, such as those of closed lips, are left alone.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding

__all__ = ["check_coincident_points"]

_FEWEST, _LEAST_APART = 8, 0.08
"""Other faces, and the least distance in all of these, as a share of the face's size."""

Float = NDArray[np.float64]


def check_coincident_points(inventory: Inventory) -> Iterator[Finding]:
    """Faces with two points at exactly one place."""
    for split, table in inventory.tables():
        points = inventory.points(split)
        names = table.scheme.points
        suspects = np.flatnonzero(_have_pairs(points)).tolist()
        sizes = _sizes(points) if suspects else np.empty(0)
        least: dict[tuple[int, int], float] = {}
        for row in suspects:
            for first, second in _pairs(points[row]):
                if (first, second) not in least:
                    least[first, second] = _least_distance(points, sizes, first, second)
                apart = least[first, second]
                if apart < _LEAST_APART:
                    continue
                message = (
                    f"points {first} ({names[first]}) and {second} ({names[second]}) are at one "
                    f"place, and in other faces at least {apart:.0%} of the face's size apart"
                )
                yield Finding("warning", "coincident-points", table.sources[row], message)


def _have_pairs(points: Float) -> NDArray[np.bool_]:
    """Which faces [N] have two of their points [N, K, 2] at one place."""
    ordered = np.sort(points @ np.array([1, 1j]), axis=1)
    return np.asarray((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))


def _pairs(points: Float) -> list[tuple[int, int]]:
    same = (points[:, None] == points[None]).all(axis=2)
    return [(int(first), int(second)) for first, second in np.argwhere(np.triu(same, 1))]


def _sizes(points: Float) -> Float:
    """The longer sides [N] of the points' boxes; NaN where none is labelled."""
    low = np.where(np.isnan(points), np.inf, points).min(axis=1)
    high = np.where(np.isnan(points), -np.inf, points).max(axis=1)
    return np.maximum((high - low).max(axis=1), 1e-9)


def _least_distance(points: Float, sizes: Float, first: int, second: int) -> float:
    """Of two points that are apart, in any face, as a share of its size; 0 of few such faces."""
    distances = np.linalg.norm(points[:, second] - points[:, first], axis=1) / sizes
    apart = distances[distances > 0]
    return float(apart.min()) if len(apart) >= _FEWEST else 0.0
