"""Confidence intervals over faces by the percentile bootstrap."""

from collections.abc import Iterator

import numpy as np

__all__ = ["RESAMPLES", "bootstrap_means", "face_weights", "intervals"]

RESAMPLES = 2000
_CHUNK = 100


def face_weights(count: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """`RESAMPLES` resamples of `count` faces with replacement, 100 at a time.

    Each float64 [100, N]: how often a face was drawn, over N; a row sums to 1.
    """
    even = np.full(count, 1.0 / count)
    for _ in range(RESAMPLES // _CHUNK):
        yield generator.multinomial(count, even, size=_CHUNK) / count


def bootstrap_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of `RESAMPLES` resamples of the rows of `values` [N, M], with replacement; [2000, M].

    The resamples depend only on N and the seed, so differences of two calls are paired.
    """
    columns = np.ascontiguousarray(values.T, dtype=np.float64)
    # Not a matrix product, whose last bits would depend on the number of threads.
    parts = [
        np.einsum("rn,mn->rm", weights, columns)
        for weights in face_weights(len(values), np.random.default_rng(seed))
    ]
    return np.concatenate(parts)


def intervals(values: np.ndarray) -> list[list[float]]:
    """95 % interval [low, high] of the mean of each column of `values` [N, M]."""
    low, high = np.percentile(bootstrap_means(values), [2.5, 97.5], axis=0)
    return [[float(a), float(b)] for a, b in zip(low, high, strict=True)]
