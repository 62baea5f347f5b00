"""Confidence intervals over faces by the percentile bootstrap."""

from collections.abc import Iterator

import numpy as np

__all__ = ["RESAMPLES", "bootstrap_means", "face_weights", "intervals"]

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
    means = bootstrap_means(values)
    known = ~np.isnan(means).all(axis=0)
    percentile = np.nanpercentile if np.isnan(means).any() else np.percentile
    bounds = np.full((2, means.shape[1]), np.nan)
    bounds[:, known] = percentile(means[:, known], [2.5, 97.5], axis=0)
    return [
        None if np.isnan(low) else [float(low), float(high)]
        for low, high in zip(*bounds, strict=True)
    ]
