"""Penalties of errors, and their derivatives, in Triton."""

import triton
import triton.language as tl

__all__ = ["penalty_and_slope", "sign"]


@triton.jit
def sign(value):
    """-1, 0 or 1; NaN of NaN."""
    return tl.where(value > 0.0, 1.0, tl.where(value < 0.0, -1.0, value))


@triton.jit
def _log1p(value):
    """ln(1 + value) of value >= 0 without the digits that the sum loses, by Kahan's quotient."""
    above = 1.0 + value
    quotient = value / tl.where(above == 1.0, 1.0, above - 1.0)
    return tl.where(above == 1.0, value, tl.log(above) * quotient)


@triton.jit
def penalty_and_slope(error, width, curvature, PENALTY: tl.constexpr):
    """(phi(e), phi'(e)) as `sesame_kernels.penalties.Penalty` defines phi."""
    size, slope = tl.abs(error), sign(error)
    if PENALTY == "l1":
        value = size
    elif PENALTY == "smooth_l1":
        value = tl.where(size < width, size * size / (2.0 * width), size - 0.5 * width)
        slope = tl.where(size < width, error / width, slope)
    else:
        beyond = width * _log1p(width / curvature) - width
        value = tl.where(size < width, width * _log1p(size / curvature), size + beyond)
        slope *= tl.where(size < width, width / (curvature + size), 1.0)
    return value, slope
