"""Confidence intervals over faces by the percentile bootstrap."""

import numpy as np

__all__ = ["RESAMPLES", "bootstrap_means", "intervals"]

RESAMPLES = 2000
_CHUNK = 100


def bootstrap_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of `RESAMPLES` resamples of the rows of `values` [N, M], with replacement; [2000, M].

    The resamples depend only on N and the seed, so differences of two calls are paired.
    """
    generator = np.random.default_rng(seed)
    count = len(values)
    even = np.full(count, 1.0 / count)
    columns = np.ascontiguousarray(values.T, dtype=np.float64)
    parts = []
    for _ in range(RESAMPLES // _CHUNK):
        weights = generator.multinomial(count, even, size=_CHUNK) / count
        # Not a matrix product, whose last bits would depend on the number of threads.
        parts.append(np.einsum("rn,mn->rm", weights, columns))
    return np.concatenate(parts)


def intervals(values: np.ndarray) -> list[list[float]]:
    """95 % interval [low, high] of the mean of each column of `values` [N, M]."""
    low, high = np.percentile(bootstrap_means(values), [2.5, 97.5], axis=0)
    return [[float(a), float(b)] for a, b in zip(low, high, strict=True)]
