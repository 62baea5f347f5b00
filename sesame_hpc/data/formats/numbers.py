"""Numbers in annotation files: how they are read, and how they are written."""

from collections.abc import Sequence

import numpy as np

__all__ = ["FARTHEST", "finite_numbers", "first_bad_number", "shifted", "spelled"]

FARTHEST = 1e7
"""No coordinate of a file lies farther than this many pixels from the first."""

_DECIMALS = 9


def finite_numbers(fields: Sequence[str]) -> list[float] | None:
    """The numbers that fields spell, each at most `FARTHEST` in size; None for anything else."""
    together = "".join(fields)
    if not together.isascii() or "_" in together:
        return None
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    return numbers if all(-FARTHEST <= number <= FARTHEST for number in numbers) else None


def first_bad_number(fields: Sequence[str]) -> int:
    """The position of the first field that is not a finite number; there must be one."""
    return next(i for i, field in enumerate(fields) if finite_numbers([field]) is None)


def shifted(values: np.ndarray, shift: float) -> np.ndarray:
    """`values` moved by `shift` and rounded to 1e-9 px, so that half pixels come back exactly."""
    return np.round(values + shift, _DECIMALS)


def spelled(values: np.ndarray) -> list[str]:
    """The shortest texts that give the same float64 numbers again."""
    return [repr(value).removesuffix(".0") for value in values.ravel().tolist()]
