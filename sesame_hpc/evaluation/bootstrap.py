"""Confidence intervals over faces by the percentile bootstrap."""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from sesame_hpc.evaluation.student import student_quantile

__all__ = ["RESAMPLES", "bootstrap_means", "face_weights", "few_face_intervals", "intervals"]

RESAMPLES = 2000
_CHUNK, _DRAWS_AT_ONCE = 100, 1 << 22


def face_weights(count: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """`RESAMPLES` resamples of `count` faces with replacement, 100 at a time; of many faces fewer.

    Each float64 [R, N]: how often a face was drawn, over N; a row sums to 1.
    """
    even = np.full(count, 1.0 / count)
    at_once = min(_CHUNK, max(1, _DRAWS_AT_ONCE // count))
    for first in range(0, RESAMPLES, at_once):
        yield generator.multinomial(count, even, min(at_once, RESAMPLES - first)) / count


def bootstrap_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of `RESAMPLES` resamples of the rows of `values` [N, M], with replacement; [2000, M].

    Of each column over the drawn rows that are not NaN there; NaN where all drawn ones are. The
    resamples depend only on N and the seed, so differences of two calls are paired.
    """
    columns = np.ascontiguousarray(values.T, dtype=np.float64)
    known = ~np.isnan(columns)
    filled, gapped = np.where(known, columns, 0.0), ~known.all(axis=1)
    parts = []
    for weights in face_weights(len(values), np.random.default_rng(seed)):
        # Not a matrix product, whose last bits would depend on the number of threads.
        means = np.einsum("rn,mn->rm", weights, filled)
        if gapped.any():
            shares = np.einsum("rn,mn->rm", weights, known[gapped].astype(np.float64))
            drawn = means[:, gapped] / np.where(shares > 0, shares, 1.0)
            means[:, gapped] = np.where(shares > 0, drawn, np.nan)
        parts.append(means)
    return np.concatenate(parts)


def intervals(values: np.ndarray) -> list[list[float] | None]:
    """95 % interval [low, high] of the mean of each column of `values` [N, M], over what is known.

    None for a column that is all NaN.
    """
    return _percentiles(bootstrap_means(values), 2.5)


def few_face_intervals(values: np.ndarray) -> list[list[float] | None]:
    """`intervals` that also hold for a few rows of `values` [N, M]; None for a single row.

    The expanded percentile interval: percentiles of the bootstrap are too narrow by the factor
    sqrt((n - 1) / n) and ignore that the spread is itself estimated, so their normal quantile z is
    replaced by t(0.975; n - 1) sqrt(n / (n - 1)) (Hesterberg, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69(4), 2015, section 5.2).
    """
    count = len(values)
    if count < 2:
        return [None] * values.shape[1]
    quantile = student_quantile(count - 1) * math.sqrt(count / (count - 1))
    return _percentiles(bootstrap_means(values), 100.0 * NormalDist().cdf(-quantile))


def _percentiles(means: np.ndarray, tail: float) -> list[list[float] | None]:
    """Bounds of each column of `means` [R, M] that leave out `tail` percent at each end."""
    known = ~np.isnan(means).all(axis=0)
    percentile = np.nanpercentile if np.isnan(means).any() else np.percentile
    bounds = np.full((2, means.shape[1]), np.nan)
    bounds[:, known] = percentile(means[:, known], [tail, 100.0 - tail], axis=0)
    return [
        None if np.isnan(low) else [float(low), float(high)]
        for low, high in zip(*bounds, strict=True)
    ]
