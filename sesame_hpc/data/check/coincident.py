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
        for row in np.flatnonzero(_have_pairs(points)).tolist():
            for first, second in _pairs(points[row]):
                apart = _distances(points, first, second)
                apart = apart[apart > 0]
                if len(apart) < _FEWEST or apart.min() < _LEAST_APART:
                    continue
                message = (
                    f"points {first} ({names[first]}) and {second} ({names[second]}) are at one "
                    f"place, and in other faces at least {apart.min():.0%} of the face's size apart"
                )
                yield Finding("warning", "coincident-points", table.sources[row], message)


def _have_pairs(points: Float) -> NDArray[np.bool_]:
    """Which faces [N] have two of their points [N, K, 2] at one place."""
    ordered = np.sort(points @ np.array([1, 1j]), axis=1)
    return np.asarray((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))


def _pairs(points: Float) -> list[tuple[int, int]]:
    same = (points[:, None] == points[None]).all(axis=2)
    return [(int(first), int(second)) for first, second in np.argwhere(np.triu(same, 1))]


def _distances(points: Float, first: int, second: int) -> Float:
    """Of two points in each face that has both, as a share of its longer side."""
    pair = points[:, second] - points[:, first]
    known = np.isfinite(pair).all(axis=1)
    spans = np.nanmax(points[known], axis=1) - np.nanmin(points[known], axis=1)
    return np.asarray(np.linalg.norm(pair[known], axis=1) / np.maximum(spans.max(axis=1), 1e-9))
