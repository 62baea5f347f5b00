"""How far each face's points are from where those of the other faces would have them.

Faces are moved, turned and scaled onto a common median shape (a Procrustes fit that goes by the
points that agree with it). What pose and expression do to all points together is taken off by the
principal components of the set's own shapes, where there are enough faces to know them.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShapeStatistics", "fit_shapes", "residuals_of", "turns_of"]

_FACES_AT_ONCE = 1 << 10
_ROUNDS = 4
_CANDIDATES = 15
_MOST_FACES = 1500
_FACES_PER_COMPONENT = 25
_MOST_COMPONENTS = 12
_KEPT_SHARE = 0.9
_FIT_STEPS = 4

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ShapeStatistics:
    """A set's median shape, [K, 2] of mean 0 and root mean square distance 1 from it; components
    [C, 2K], orthonormal; and the size of each point's usual residual, [K]."""

    shape: Float
    components: Float
    scales: Float


def fit_shapes(landmarks: Float) -> tuple[ShapeStatistics, Float]:
    """The statistics of faces [N, K, 2] (NaN: not labelled), and each point's residual [N, K].

    A residual is in units of the point's usual one. N is at least 3; of many faces a part, spread
    evenly, makes the statistics.
    """
    sample = landmarks[:: -(-len(landmarks) // _MOST_FACES)]
    statistics = _fit(sample)
    return statistics, np.concatenate(
        [residuals_of(statistics, part) for part in _parts(landmarks)]
    )


def _parts(landmarks: Float) -> Iterator[Float]:
    """Faces [N, K, 2], a part of them at a time."""
    for first in range(0, len(landmarks), _FACES_AT_ONCE):
        yield landmarks[first : first + _FACES_AT_ONCE]


def _fit(landmarks: Float) -> ShapeStatistics:
    faces = _normalised(landmarks)
    shape = _typical_face(faces)
    for _ in range(_ROUNDS):
        aligned, _ = _aligned(faces, shape)
        shape = _unit(np.nan_to_num(_median(aligned, axis=0)))
    aligned, _ = _aligned(faces, shape)
    components = _components(aligned, shape)
    distances = _distances(aligned, shape, components)
    typical = _median(distances, axis=0)
    scales = np.maximum(typical, 0.25 * _median(typical))
    return ShapeStatistics(shape, components, np.maximum(scales, 1e-6))


def residuals_of(statistics: ShapeStatistics, landmarks: Float) -> Float:
    """The residuals [N, K] of other faces [N, K, 2] under a set's statistics."""
    aligned, _ = _aligned(_normalised(landmarks), statistics.shape)
    return _distances(aligned, statistics.shape, statistics.components) / statistics.scales


def turns_of(statistics: ShapeStatistics, landmarks: Float) -> Float:
    """By how many degrees faces [N, K, 2] are turned against the set's shape, clockwise: [N]."""
    shape = statistics.shape
    return np.concatenate([_aligned(_normalised(part), shape)[1] for part in _parts(landmarks)])


def _typical_face(faces: Float) -> Float:
    """Of some complete faces the one that most others resemble."""
    whole = faces[np.asarray(np.isfinite(faces).all(axis=(1, 2)))]
    if not len(whole):
        return _unit(np.nan_to_num(_median(faces, 0)))
    some = whole[:: -(-len(whole) // _CANDIDATES)]
    shapes = [_unit(face) for face in some]
    distances = [np.abs(_aligned(some, shape)[0] - shape).mean(axis=(1, 2)) for shape in shapes]
    return shapes[int(np.argmin([np.median(each) for each in distances]))]


def _median(values: Float, axis: int | None = None, keepdims: bool = False) -> Float:
    """The median without NaN, NaN of nothing else; fast where there is none."""
    whole = np.isfinite(values).all()
    median = np.median if whole else np.nanmedian
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.asarray(median(values, axis=axis, keepdims=keepdims))


def _normalised(landmarks: Float) -> Float:
    centred = landmarks - _median(landmarks, 1, True)
    size = np.sqrt(_median((centred**2).sum(axis=2), axis=1))
    return centred / np.maximum(size, 1e-9)[:, None, None]


def _unit(shape: Float) -> Float:
    centred = shape - shape.mean(axis=0)
    return centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9)


def _aligned(faces: Float, shape: Float) -> tuple[Float, Float]:
    """Each face moved, turned and scaled onto `shape`, points far off it counting less; and by
    how many degrees it was turned [N]."""
    known: NDArray[np.bool_] = np.asarray(np.isfinite(faces).all(axis=2))
    points = np.where(known[..., None], faces, 0.0) @ np.array([1, 1j])
    target = np.broadcast_to(shape @ np.array([1, 1j]), points.shape)
    weights = known.astype(np.float64)
    moved, turn = points, np.ones((len(points), 1), np.complex128)
    for _ in range(_FIT_STEPS):
        total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        a = (weights * points).sum(axis=1, keepdims=True) / total
        b = (weights * target).sum(axis=1, keepdims=True) / total
        power = (weights * np.abs(points - a) ** 2).sum(axis=1, keepdims=True)
        turn = (weights * np.conj(points - a) * (target - b)).sum(axis=1, keepdims=True)
        moved = (points - a) * turn / np.maximum(power, 1e-12) + b
        off = np.where(known, np.abs(moved - target), np.nan)
        usual = np.maximum(_median(off, 1, True), 1e-3)
        weights = np.where(known, 1 / np.maximum(off / (2 * usual), 1.0), 0.0)
    aligned = np.stack([moved.real, moved.imag], axis=2)
    return np.where(known[..., None], aligned, np.nan), -np.degrees(np.angle(turn[:, 0]))


def _components(aligned: Float, shape: Float) -> Float:
    """Principal components of the complete faces that are nearest to the shape."""
    offsets = (aligned - shape).reshape(len(aligned), -1)
    offsets = offsets[np.isfinite(offsets).all(axis=1)]
    kept = offsets[np.argsort(np.abs(offsets).max(axis=1))[: int(_KEPT_SHARE * len(offsets))]]
    count = min(len(kept) // _FACES_PER_COMPONENT, _MOST_COMPONENTS, offsets.shape[1] // 4)
    if count < 1:
        return np.zeros((0, offsets.shape[1]))
    return np.linalg.eigh(kept.T @ kept)[1][:, ::-1][:, :count].T


def _distances(aligned: Float, shape: Float, components: Float) -> Float:
    """How far each point [N, K] is from the nearest shape that the components can make."""
    offsets = (aligned - shape).reshape(len(aligned), -1)
    known = np.isfinite(offsets)
    filled = np.where(known, offsets, 0.0)
    weights = known.astype(np.float64)
    explained = np.zeros_like(filled)
    if len(components):
        count, across = len(components), components.T
        products = (across[:, :, None] * across[:, None, :]).reshape(-1, count**2)
        for _ in range(_FIT_STEPS):
            gram = (weights @ products).reshape(-1, count, count) + 1e-6 * np.eye(count)
            right = (weights * filled) @ across
            explained = np.linalg.solve(gram, right[..., None])[..., 0] @ components
            off = np.abs(filled - explained)
            usual = np.maximum(np.median(off, axis=1, keepdims=True), 1e-3)
            weights = known / np.maximum(off / (3 * usual), 1.0)
    rest = np.where(known, filled - explained, np.nan).reshape(*aligned.shape)
    return np.sqrt((rest**2).sum(axis=2))
