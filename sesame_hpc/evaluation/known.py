"""Means over what is known: NaN stands for the error of a point that is not labelled.

Where nothing is NaN, the results have the bits of plain means.
"""

import numpy as np

__all__ = ["mean_known", "or_none"]


def mean_known(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean along `axis` of the values that are not NaN; NaN where there are none."""
    known = ~np.isnan(values)
    if known.all():
        return np.asarray(values.mean(axis=axis))
    counts = known.sum(axis=axis)
    sums = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def or_none(value: float) -> float | None:
    """The value as JSON can hold it: None for NaN."""
    return None if np.isnan(value) else float(value)
