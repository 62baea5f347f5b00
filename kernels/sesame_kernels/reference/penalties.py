"""Penalties of errors, and their derivatives, in plain PyTorch."""

import math

from torch import Tensor

__all__ = ["penalty_slopes", "penalty_values", "sign"]


def penalty_values(errors: Tensor, penalty: str, width: float, curvature: float) -> Tensor:
    """phi(e) as `sesame_kernels.penalties.Penalty` defines it; NaN of NaN."""
    size = errors.abs()
    if penalty == "l1":
        return size
    if penalty == "smooth_l1":
        return (size * size / (2 * width)).where(size < width, size - width / 2)
    beyond = width * math.log1p(width / curvature) - width
    return ((size / curvature).log1p() * width).where(size < width, size + beyond)


def penalty_slopes(errors: Tensor, penalty: str, width: float, curvature: float) -> Tensor:
    """The derivative of phi; 0 at 0, NaN of NaN."""
    slopes = sign(errors)
    if penalty == "l1":
        return slopes
    inside = errors.abs() < width
    if penalty == "smooth_l1":
        return (errors / width).where(inside, slopes)
    return slopes * (width / (curvature + errors.abs())).where(inside, 1.0)


def sign(error: Tensor) -> Tensor:
    """-1, 0 or 1; NaN of NaN, where torch.sign has 0."""
    return error.sign().where(error == error, error)
