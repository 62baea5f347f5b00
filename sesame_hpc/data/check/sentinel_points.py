"""Which points of a part are numbers that stand for points that are not labelled."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sentinels", "find_sentinels", "in_fractions"]

_NEAR_CORNER, _FEWEST_ALIKE, _COINCIDENT, _MOST_PLACES = 1.6, 2, 3, 20
_USUAL_SENTINELS = ((0.0, 0.0), (-1.0, -1.0))
_CORNER_INSETS = (0.0, 0.5, 1.0)
_SAME = 1e-3
_FRACTION = 1.5
_FAR = 1.0
"""By more than its width and height a point lies outside of the image."""

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sentinels:
    """The suspicious places (x, y), as they are written in the file, and the points [N, K] at each;
    `corners` are the points [N, K] exactly in another corner of their image, where several are."""

    places: dict[tuple[float, float], Mask]
    corners: Mask

    def points(self) -> Mask:
        """All of these points [N, K]."""
        return np.any([self.corners, *self.places.values()], axis=0)


def in_fractions(landmarks: Float) -> Mask:
    """Which faces [N] of [N, K, 2] have no coordinate beyond 1.5: fractions of the image's size."""
    return np.asarray(np.nanmax(np.abs(landmarks), axis=(1, 2)) <= _FRACTION)


def find_sentinels(landmarks: Float, shift: float, sizes: Float) -> Sentinels:
    """Those among landmarks [N, K, 2] in corner-based pixels, NaN where not labelled.

    `shift` is what was added to the file's numbers; `sizes` [N, 2] are width and height of each
    face's image, NaN where not known. These are points that several faces have at one place, at
    the image's first corner or outside; points exactly in another corner; and three or more points
    of a face at exactly one place. Faces in fractions of their image's size are left out.
    """
    written = np.round(landmarks - shift, 9)
    written[in_fractions(landmarks)] = np.nan
    places = _suspicious_places(written, sizes)
    corners = _in_corners(written, sizes)
    if corners.any(axis=1).sum() < _FEWEST_ALIKE:
        corners[:] = False
    return Sentinels({place: (written == place).all(axis=2) for place in places}, corners)


def _have_coincident(points: Float) -> Mask:
    """Which faces [N] have that many points [N, K, 2] at one place."""
    if points.shape[1] < _COINCIDENT:
        return np.zeros(len(points), np.bool_)
    ordered = np.sort(points @ np.array([1, 1j]), axis=1)
    return np.asarray((ordered[:, _COINCIDENT - 1 :] == ordered[:, : 1 - _COINCIDENT]).any(axis=1))


def _suspicious_places(written: Float, sizes: Float) -> list[tuple[float, float]]:
    """Places with several points that are at the first corner or outside, or of one face."""
    near = (np.abs(written) <= _NEAR_CORNER).all(axis=2)
    before = (written < -_NEAR_CORNER).all(axis=2)
    found: list[tuple[float, float]] = []
    for chosen in (near, before):
        places, counts = _counted(written[chosen])
        found += [
            place
            for place, count in zip(places, counts, strict=True)
            if count >= _FEWEST_ALIKE or place in _USUAL_SENTINELS
        ]
    found += [place for place in _far_outside(written, sizes) if place not in found]
    found += [place for place in _beyond(written, sizes) if place not in found]
    for points in written[_have_coincident(written)]:
        place, count = Counter(map(tuple, points.tolist())).most_common(1)[0]
        if count >= _COINCIDENT and np.isfinite(place).all() and place not in found:
            found.append(place)
    return found[:_MOST_PLACES]


def _counted(points: Float) -> tuple[list[tuple[float, float]], list[int]]:
    """The places of points [N, 2] and how many there are at each, most first."""
    places, first, counts = np.unique(_joined(points), return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    return _pairs(places[order]), counts[order].tolist()


def _pairs(places: Complex) -> list[tuple[float, float]]:
    return [(place.real, place.imag) for place in places.tolist()]


def _joined(points: Float) -> Complex:
    """Points [..., 2] as one number each."""
    return np.ascontiguousarray(points).view(np.complex128)[..., 0]


def _far_outside(written: Float, sizes: Float) -> list[tuple[float, float]]:
    """Single points with both coordinates far outside the image that most of their face is in."""
    beyond = np.maximum(-written, written - sizes[:, None]) / sizes[:, None]
    far = (beyond > _FAR).all(axis=2)
    far &= (far.sum(axis=1) <= written.shape[1] / 2)[:, None]
    return list(dict.fromkeys(map(tuple, written[far].tolist())))


def _beyond(written: Float, sizes: Float) -> list[tuple[float, float]]:
    """The places that lie below and right of the images of all their faces, which are several."""
    outside = (written > sizes[:, None] + _NEAR_CORNER).all(axis=2)
    rows, points = np.nonzero(outside)[0], _joined(written[outside])
    places, first, counts = np.unique(points, return_index=True, return_counts=True)
    last = np.unique(points[::-1], return_index=True)[1]
    shared = rows[first] != rows[::-1][last]
    if not shared.any():
        return []
    others = _joined(written[~outside])
    at = np.searchsorted(places, others).clip(max=len(places) - 1)
    shared[at[places[at] == others]] = False
    order = np.lexsort((first, -counts))
    return _pairs(places[order[shared[order]]])


def _in_corners(written: Float, sizes: Float) -> Mask:
    """Which points [N, K] are exactly in a corner of their image that is not the first."""
    far, near = [], []
    for inset in _CORNER_INSETS:
        far.append(np.abs(written - (sizes - inset)[:, None]) < _SAME)
        near.append(np.abs(written - inset) < _SAME)
    high, low = np.any(far, axis=0), np.any(near, axis=0)
    edges = high | low
    return np.asarray(edges.all(axis=2) & high.any(axis=2))
