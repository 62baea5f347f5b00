"""What a heat map's spread says about the error, learnt from held-out faces.

A network trained on coordinates alone is free to make its maps as wide as it likes, and how wide
differs from landmark to landmark. So a spread is compared with what is usual for its landmark; and
as a face that the network does not understand disturbs all of its maps at once, the disturbance
of the whole face counts beside the landmark's own. One monotone map turns the score into figures.
"""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sesame_hpc.evaluation.known import mean_known

__all__ = [
    "THRESHOLD",
    "Calibration",
    "CalibrationCheck",
    "check_calibration",
    "cross_fitted",
    "fit_calibration",
]

THRESHOLD = 5.0
_BINS = 20
_RIDGE = 20.0
FARTHEST = 6.0
_LEAST_ERROR = 0.1
_LEAST_FACES = 4

Finite = Annotated[float, Field(allow_inf_nan=False)]
Row = tuple[Finite, ...]


class Calibration(BaseModel):
    """From spreads to the expected error and to the probability that it is small.

    Per landmark: `usual`, the median logarithm of its spread; `scale`, the median distance from
    it; `base`, its mean error. `weights` are those of the four disturbances (see `score`).
    `knots` are ascending scores with `error`, the expected error there (never falling), and
    `within`, the share of errors of at most `threshold` (never rising). Errors are in percent of
    the normaliser. `faces` is the number of held-out faces that all this was learnt from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    usual: Row
    scale: Row
    base: Row
    weights: tuple[Finite, Finite, Finite, Finite]
    knots: Row
    error: Row
    within: Row
    threshold: Finite = THRESHOLD
    faces: int

    @model_validator(mode="after")
    def _lengths(self) -> "Calibration":
        if not len(self.usual) == len(self.scale) == len(self.base):
            raise ValueError("usual, scale and base must have one number per landmark")
        if not 0 < len(self.knots) == len(self.error) == len(self.within):
            raise ValueError("knots, error and within must have the same length, at least 1")
        return self

    def score(self, spread: np.ndarray) -> np.ndarray:
        """Spreads [F, K] -> [F, K]; the higher, the larger an error is to be expected."""
        return np.log(self.base) + _disturbances(spread, self.usual, self.scale) @ self.weights

    def expected_error(self, spread: np.ndarray) -> np.ndarray:
        """Spreads [F, K] -> expected error [F, K] in percent of the normaliser."""
        return np.interp(self.score(spread), self.knots, self.error)

    def confidence(self, spread: np.ndarray) -> np.ndarray:
        """Spreads [F, K] -> probability [F, K] that the error is at most `threshold` percent."""
        return np.interp(self.score(spread), self.knots, self.within)


class CalibrationCheck(BaseModel):
    """How the confidence does on held-out faces that its calibration has not seen.

    `gap` is the mean distance between confidence and observed share over ten bins of equal count;
    `brier` the mean squared error of the confidence, `brier_constant` that of always saying the
    overall share; `rank_correlation` that of expected and actual errors (Spearman).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gap: float
    brier: float
    brier_constant: float
    rank_correlation: float


def fit_calibration(spread: np.ndarray, errors: np.ndarray) -> Calibration:
    """Learn from spreads [F, K] (above 0) and errors [F, K] in percent of the normaliser.

    An error is NaN where it is not known, as the point is not labelled; a landmark without any is
    taken to have the mean error of the others. Raises ValueError for fewer than four faces with
    errors, or spreads that are not finite and positive.
    """
    known = ~np.isnan(errors)
    faces = int(known.any(axis=-1).sum())
    if spread.shape != errors.shape or faces < _LEAST_FACES:
        raise ValueError(
            f"spreads {spread.shape} and errors {errors.shape}: a calibration needs the same "
            f"shape and at least {_LEAST_FACES} faces"
        )
    if not (np.isfinite(errors[known]).all() and (spread > 0).all() and np.isfinite(spread).all()):
        raise ValueError("spreads and errors must be finite, spreads above 0")
    logs = np.log(spread)
    usual = np.median(logs, axis=0)
    scale = np.maximum(np.median(np.abs(logs - usual), axis=0), 1e-6)
    base = mean_known(errors, 0)
    base = np.maximum(np.where(np.isnan(base), np.nanmean(base), base), _LEAST_ERROR)
    weights = _fit_weights(_disturbances(spread, usual, scale), errors, base)
    score = np.log(base) + _disturbances(spread, usual, scale) @ weights
    knots, error, within = _monotone(score[known], errors[known])
    return Calibration(
        usual=tuple(usual.tolist()),
        scale=tuple(scale.tolist()),
        base=tuple(base.tolist()),
        weights=tuple(weights.tolist()),
        knots=tuple(knots.tolist()),
        error=tuple(error.tolist()),
        within=tuple(within.tolist()),
        faces=faces,
    )


def _disturbances(spread: np.ndarray, usual: object, scale: object) -> np.ndarray:
    """[F, K, 4]: distance from the usual, its magnitude, and the face's means of both."""
    away = (np.log(spread) - np.asarray(usual)) / np.asarray(scale)
    away = np.clip(away, -FARTHEST, FARTHEST)
    own = np.stack([away, np.abs(away)], axis=-1)
    face = np.broadcast_to(own.mean(axis=1, keepdims=True), own.shape)
    return np.concatenate([own, face], axis=-1)


def _fit_weights(features: np.ndarray, errors: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Ridge regression of the logarithm of error over base; the offset is of no interest."""
    known = ~np.isnan(errors)
    target = np.log(np.maximum(errors, _LEAST_ERROR)) - np.log(base)
    x, y = features[known], target[known]
    x = x - x.mean(axis=0)
    y = y - y.mean()
    return np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)


def _monotone(score: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over bins of equal count, pooled until they are monotone."""
    order = np.argsort(score, kind="stable")
    bins = np.array_split(order, min(_BINS, len(order)))
    counts = np.array([len(rows) for rows in bins], dtype=np.float64)
    knots = np.maximum.accumulate([score[rows].mean() for rows in bins])
    error = _pool(np.array([errors[rows].mean() for rows in bins]), counts)
    within = _pool(np.array([-(errors[rows] <= THRESHOLD).mean() for rows in bins]), counts)
    keep = np.append(np.diff(knots) > 0, True)
    return knots[keep], error[keep], -within[keep]


def _pool(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The nearest non-falling values (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, count in zip(values, counts, strict=True):
        mean, weight, length = float(value), float(count), 1
        while blocks and blocks[-1][0] > mean:
            before, its_weight, its_length = blocks.pop()
            mean = (before * its_weight + mean * weight) / (its_weight + weight)
            weight, length = weight + its_weight, length + its_length
        blocks.append((mean, weight, length))
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])


def cross_fitted(
    spread: np.ndarray, errors: np.ndarray, groups: np.ndarray, folds: int = 5
) -> tuple[np.ndarray, np.ndarray] | None:
    """Confidences and expected errors [F, K], of each face by a calibration of the other folds.

    `groups` [F] are integers; faces of one group (one image) stay in one fold. None where there
    are too few groups for it.
    """
    known = ~np.isnan(errors)
    fold = np.unique(groups, return_inverse=True)[1] % folds
    has = known.any(axis=1)
    if fold.max() + 1 < folds or min(has[fold != k].sum() for k in range(folds)) < _LEAST_FACES:
        return None
    confidence, expected = np.empty_like(errors), np.empty_like(errors)
    for k in range(folds):
        held = fold == k
        calibration = fit_calibration(spread[~held], errors[~held])
        confidence[held] = calibration.confidence(spread[held])
        expected[held] = calibration.expected_error(spread[held])
    return confidence, expected


def check_calibration(
    spread: np.ndarray, errors: np.ndarray, groups: np.ndarray, folds: int = 5
) -> CalibrationCheck | None:
    """How confidences do on faces that their calibration has not seen (see `cross_fitted`)."""
    fitted = cross_fitted(spread, errors, groups, folds)
    if fitted is None:
        return None
    known = ~np.isnan(errors)
    confidence, expected = fitted
    confidence, expected, errors = confidence[known], expected[known], errors[known]
    hit = errors <= THRESHOLD
    order = np.argsort(confidence, kind="stable")
    gaps = [abs(confidence[rows].mean() - hit[rows].mean()) for rows in np.array_split(order, 10)]
    return CalibrationCheck(
        gap=float(np.mean(gaps)),
        brier=float(np.mean((confidence - hit) ** 2)),
        brier_constant=float(hit.mean() * (1 - hit.mean())),
        rank_correlation=float(np.corrcoef(_ranks(expected), _ranks(errors))[0, 1]),
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of values [n], ties at their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse.ravel()]
