"""The STAR loss and its gradients in Triton: one launch on all landmarks, one for the mean."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, quotient_up
from sesame_kernels.fused.penalties import penalty_and_slope
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.sums import mean
from sesame_kernels.fused.tiles import load_pairs, store_pairs

__all__ = ["star_loss"]

_LANDMARKS = 128


@triton.jit
def principal_axes(xx, yy, xy):
    """(larger eigenvalue, smaller, x and y of the larger one's unit vector) of a covariance."""
    half_difference = 0.5 * (xx - yy)
    radius = tl.sqrt(half_difference * half_difference + xy * xy)
    larger = 0.5 * (xx + yy) + radius
    is_round = radius == 0.0
    safe = tl.where(is_round, 1.0, radius)
    cosine = tl.where(is_round, 1.0, half_difference / safe)
    sine = tl.where(is_round, 0.0, xy / safe)
    # Half of the angle, by the formula that divides by the larger of its sine and cosine.
    longer = tl.sqrt(0.5 * (1.0 + tl.abs(cosine)))
    shorter = 0.5 * sine / longer
    x = tl.where(cosine >= 0.0, longer, shorter)
    y = tl.where(cosine >= 0.0, shorter, longer)
    determinant = xx * yy - xy * xy
    determinant = tl.where(determinant < 0.0, 0.0, determinant)
    smaller = tl.where(larger == 0.0, 0.0, determinant / tl.where(larger == 0.0, 1.0, larger))
    return larger, smaller, x, y


@triton.jit(do_not_specialize=["num_landmarks"])
def star_loss_kernel(
    coordinates,
    moments,
    target,
    weight,
    costs,
    grad_coordinates,
    grad_moments,
    num_landmarks,
    width: tl.float64,
    curvature: tl.float64,
    restriction: tl.float64,
    floor: tl.float64,
    unit: tl.float64,
    ACC: tl.constexpr,
    PENALTY: tl.constexpr,
    LANDMARKS: tl.constexpr,
):
    index = tl.program_id(0).to(tl.int64) * LANDMARKS + tl.arange(0, LANDMARKS)
    valid = index < num_landmarks
    width, curvature = tl.cast(width, ACC), tl.cast(curvature, ACC)
    restriction, floor = tl.cast(restriction, ACC), tl.cast(floor, ACC)
    mean_x, mean_y = load_pairs(coordinates, index, valid, ACC)
    target_x, target_y = load_pairs(target, index, valid, ACC)
    error_x, error_y = mean_x - target_x, mean_y - target_y
    xx = tl.load(moments + 3 * index, mask=valid, other=1.0)
    yy = tl.load(moments + 3 * index + 1, mask=valid, other=1.0)
    xy = tl.load(moments + 3 * index + 2, mask=valid, other=0.0)
    larger, smaller, x, y = principal_axes(xx, yy, xy)
    first, second = x * error_x + y * error_y, x * error_y - y * error_x
    cost_1, slope_1 = penalty_and_slope(first, width, curvature, PENALTY)
    cost_2, slope_2 = penalty_and_slope(second, width, curvature, PENALTY)
    scale_1, scale_2 = 1.0 / tl.sqrt(larger + floor), 1.0 / tl.sqrt(smaller + floor)
    importance = tl.full([LANDMARKS], 1.0, ACC)
    if weight is not None:
        importance = tl.load(weight + index, mask=valid, other=0.0).to(ACC)
    cost = cost_1 * scale_1 + cost_2 * scale_2 + restriction * (larger + smaller)
    tl.store(costs + index, importance * cost, mask=valid)
    factor = importance * tl.cast(unit, ACC)
    slope_1, slope_2 = slope_1 * scale_1 * factor, slope_2 * scale_2 * factor
    grad_x, grad_y = slope_1 * x - slope_2 * y, slope_1 * y + slope_2 * x
    store_pairs(grad_coordinates, index, grad_x, grad_y, valid)
    grad_1 = factor * (restriction - 0.5 * cost_1 * scale_1 * scale_1 * scale_1)
    grad_2 = factor * (restriction - 0.5 * cost_2 * scale_2 * scale_2 * scale_2)
    tl.store(grad_moments + 3 * index, grad_1 * x * x + grad_2 * y * y, mask=valid)
    tl.store(grad_moments + 3 * index + 1, grad_1 * y * y + grad_2 * x * x, mask=valid)
    tl.store(grad_moments + 3 * index + 2, 2.0 * (grad_1 - grad_2) * x * y, mask=valid)


def star_loss(
    coordinates: Tensor,
    moments: Tensor,
    target: Tensor,
    weight: Tensor | None,
    penalty: str,
    width: float,
    curvature: float,
    restriction: float,
    floor: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, the coordinates' gradient, the moments'), for an upstream gradient of 1."""
    coordinates, moments = coordinates.contiguous(), moments.contiguous()
    gradients = torch.empty_like(coordinates), torch.empty_like(moments)
    costs = coordinates.new_empty(coordinates.shape[:2])
    if costs.numel() == 0:
        return costs.new_full((), torch.nan), *gradients
    tensors = (
        coordinates,
        moments,
        target.contiguous(),
        None if weight is None else weight.contiguous(),
        costs,
        *gradients,
    )
    scalars = (width, curvature, restriction, floor, 1.0 / costs.numel())
    launch(_plan, tensors, scalars, penalty)
    return mean(costs, costs.numel()), *gradients


def _plan(coordinates: Tensor, *others: Any) -> Plan:
    """The penalty's name comes last."""
    num_landmarks = coordinates.numel() // 2
    constants = {
        "ACC": TRITON_DTYPE[coordinates.dtype],
        "PENALTY": others[-1],
        "LANDMARKS": _LANDMARKS,
        "num_warps": 4,
    }
    grid = (quotient_up(num_landmarks, _LANDMARKS),)
    return Plan(star_loss_kernel, grid, (num_landmarks,), constants)
