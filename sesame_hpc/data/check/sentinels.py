"""The check for numbers that stand for missing points."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.units import rows_in_fractions
from sesame_hpc.data.findings import Finding

__all__ = ["check_sentinels"]

_NEAR_CORNER, _FEWEST_ALIKE, _COINCIDENT, _MOST_PLACES = 1.6, 2, 3, 20
_USUAL_SENTINELS = ((0.0, 0.0), (-1.0, -1.0))
_CORNER_INSETS = (0.0, 0.5, 1.0)
_SAME = 1e-3

Float = NDArray[np.float64]


def check_sentinels(inventory: Inventory) -> Iterator[Finding]:
    """Points that several faces have at one place, at the image's first corner or outside.

    Also points in other corners of their images, and three or more points of a face at exactly
    one place.
    """
    for split, parsed in inventory.parts.items():
        table, shift = parsed.faces, parsed.shift
        if not len(table):
            continue
        pixels = ~rows_in_fractions(table)
        written = np.round(table.landmarks - shift, 9)
        written[~pixels] = np.nan
        sizes = inventory.sizes(table)
        for x, y in _suspicious_places(written, sizes):
            same = (written == (x, y)).all(axis=2)
            rows = np.flatnonzero(same.any(axis=1))
            message = (
                f"{split}: {_points(int(same.sum()), len(rows))} at exactly ({x:g}, {y:g}); "
                f"if that stands for points that are not labelled, say --missing={x:g},{y:g} "
                f"(data.missing=[{x:g},{y:g}])"
            )
            related = tuple(table.sources[row] for row in rows[1:])
            place, value = table.sources[rows[0]], float(same.sum())
            yield Finding("error", "sentinel", place, message, related, value)
        corners = _in_corners(written, sizes)
        rows = np.flatnonzero(corners.any(axis=1))
        if len(rows) >= _FEWEST_ALIKE:
            message = (
                f"{split}: {_points(int(corners.sum()), len(rows))} exactly in a corner of their "
                "image; if that stands for points that are not labelled, leave them out of the "
                "file (v = 0, or empty cells)"
            )
            related = tuple(table.sources[row] for row in rows[1:])
            place, value = table.sources[rows[0]], float(corners.sum())
            yield Finding("error", "sentinel", place, message, related, value)


def _points(count: int, faces: int) -> str:
    if count == 1:
        return "1 point is"
    return f"{count} points of {faces} face{'s' * (faces > 1)} are"


def _have_coincident(points: Float) -> NDArray[np.bool_]:
    """Which faces [N] have that many points [N, K, 2] at one place."""
    if points.shape[1] < _COINCIDENT:
        return np.zeros(len(points), np.bool_)
    ordered = np.sort(points @ np.array([1, 1j]), axis=1)
    return np.asarray((ordered[:, _COINCIDENT - 1 :] == ordered[:, : 1 - _COINCIDENT]).any(axis=1))


def _suspicious_places(written: Float, sizes: Float) -> list[tuple[float, float]]:
    """Places with several points that are at the first corner or outside, or of one face."""
    labelled = np.isfinite(written).all(axis=2)
    counts = Counter(map(tuple, written[labelled].tolist()))
    several = [
        place
        for place, count in counts.most_common()
        if count >= _FEWEST_ALIKE or place in _USUAL_SENTINELS
    ]
    found = [(x, y) for x, y in several if abs(x) <= _NEAR_CORNER and abs(y) <= _NEAR_CORNER]
    found += [(x, y) for x, y in several if max(x, y) < -_NEAR_CORNER]
    found += [place for place in several if place not in found and _beyond(place, written, sizes)]
    for points in written[_have_coincident(written)]:
        place, count = Counter(map(tuple, points.tolist())).most_common(1)[0]
        if count >= _COINCIDENT and np.isfinite(place).all() and place not in found:
            found.append(place)
    return found[:_MOST_PLACES]


def _beyond(place: tuple[float, float], written: Float, sizes: Float) -> bool:
    """Whether a place of several faces lies below and right of all of their images."""
    rows = (written == place).all(axis=2).any(axis=1)
    return rows.sum() >= _FEWEST_ALIKE and bool(
        (np.array(place) > sizes[rows] + _NEAR_CORNER).all()
    )


def _in_corners(written: Float, sizes: Float) -> NDArray[np.bool_]:
    """Which points [N, K] are exactly in a corner of their image that is not the first."""
    far, near = [], []
    for inset in _CORNER_INSETS:
        far.append(np.abs(written - (sizes - inset)[:, None]) < _SAME)
        near.append(np.abs(written - inset) < _SAME)
    high, low = np.any(far, axis=0), np.any(near, axis=0)
    edges = high | low
    return np.asarray(edges.all(axis=2) & high.any(axis=2))
