"""Types of registers as NumPy has them, and conversions to those that it lacks.

Registers hold bits, as unsigned integers; an instruction's type says how to read them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DTYPES",
    "Array",
    "bf16_bits",
    "bytes_of",
    "from_bf16",
    "from_tf32",
    "tf32_bits",
    "unsigned",
]

Array = NDArray[Any]

DTYPES: dict[str, np.dtype] = {
    **{f"{kind}{bits}": np.dtype(f"u{bits // 8}") for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    "bf16": np.dtype("u2"),
    "tf32": np.dtype("u4"),
    "bf16x2": np.dtype("u4"),
    "f16x2": np.dtype("u4"),
}
"""NumPy's type of a PTX type; bits where it has none."""

_BF16_NAN = np.uint16(0x7FFF)


def bytes_of(kind: str) -> int:
    return DTYPES[kind].itemsize


def unsigned(values: Array) -> Array:
    """The bits of values."""
    return values.view(f"u{values.dtype.itemsize}")


def from_bf16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def bf16_bits(values: Array) -> Array:
    """Of float32, rounded to nearest even."""
    bits = unsigned(np.asarray(values, np.float32)).astype(np.uint64)
    odd = (bits >> np.uint64(16)) & np.uint64(1)
    rounded = ((bits + odd + np.uint64(0x7FFF)) >> np.uint64(16)).astype(np.uint16)
    return np.where(np.isnan(values), _BF16_NAN, rounded)


def tf32_bits(values: Array) -> Array:
    """Of float32, rounded to nearest, ties away from zero (`cvt.rna.tf32`): 10 bits of mantissa."""
    bits = unsigned(np.asarray(values, np.float32)).astype(np.uint64)
    return ((bits + np.uint64(0x1000)) & np.uint64(0xFFFFE000)).astype(np.uint32)


def from_tf32(bits: Array) -> Array:
    """What a matrix unit sees of 32 bits: the lower 13 are ignored."""
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)
