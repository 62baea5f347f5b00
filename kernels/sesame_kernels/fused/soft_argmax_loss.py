"""Soft-argmax, a loss of its coordinates and its gradient in Triton: the maps are read once and
written once, those of all stacks of a network by one launch.

Where a program has its whole map in one tile, the gradient is made of the exponentials at hand;
otherwise it reads the map again, from the cache, once the coordinates are known. Maps whose pixels
are apart in memory go through the two kernels of soft-argmax, which are faster for them, with the
loss of all stacks between them.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.expectation import expectation, tile_sums
from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    has_contiguous_pixels,
    quotient_up,
    run_tiles,
    strides,
)
from sesame_kernels.fused.penalties import penalty_and_slope
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import (
    LOG2_E,
    cells_of_runs,
    exponentials,
    load_runs,
    map_address,
    runs_of_tile,
    safe_shift,
    store_runs,
)
from sesame_kernels.fused.soft_argmax import launch_backward, launch_forward
from sesame_kernels.fused.sums import mean
from sesame_kernels.fused.tiles import load_pairs, store_pairs
from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    empty_unit_gradient,
    flat_pixels,
)

__all__ = ["soft_argmax_loss", "soft_argmax_loss_backward", "soft_argmax_loss_rescale_"]

_ELEMENTS = 4096
_LANDMARKS = 128
_MOST_STACKS = 8


@triton.jit
def maps_of_stack(stack, maps, maps_1, maps_2, maps_3, maps_4, maps_5, maps_6, maps_7):
    """The tensor of this number; those that are None are of no stack."""
    start = maps
    if maps_1 is not None:
        start = tl.where(stack == 1, maps_1, start)
    if maps_2 is not None:
        start = tl.where(stack == 2, maps_2, start)
    if maps_3 is not None:
        start = tl.where(stack == 3, maps_3, start)
    if maps_4 is not None:
        start = tl.where(stack == 4, maps_4, start)
    if maps_5 is not None:
        start = tl.where(stack == 5, maps_5, start)
    if maps_6 is not None:
        start = tl.where(stack == 6, maps_6, start)
    if maps_7 is not None:
        start = tl.where(stack == 7, maps_7, start)
    return start


@triton.jit(do_not_specialize=["first_stack"])
def soft_argmax_loss_kernel(
    logits,
    logits_1,
    logits_2,
    logits_3,
    logits_4,
    logits_5,
    logits_6,
    logits_7,
    target,
    weight,
    coordinates,
    errors,
    gradient,
    num_maps,
    stride_b,
    stride_k,
    grad_stride_b,
    grad_stride_k,
    first_stack,
    beta: tl.float64,
    unit: tl.float64,
    width: tl.float64,
    curvature: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    RUNS: tl.constexpr,
    RUN: tl.constexpr,
    PENALTY: tl.constexpr,
):
    """A map of each sample and landmark (grid axis 0) and stack (axis 1).

    Targets and weights are those of a stack, results those of all: [T * B, K, ...], in which the
    first of these maps are of `first_stack`.
    """
    NUM_RUNS: tl.constexpr = HEIGHT * WIDTH // RUN
    landmark, stack = tl.program_id(0), tl.program_id(1)
    index = (first_stack + stack) * tl.num_programs(0) + landmark
    maps = maps_of_stack(
        stack, logits, logits_1, logits_2, logits_3, logits_4, logits_5, logits_6, logits_7
    )
    map_start = map_address(maps, landmark, num_maps, stride_b, stride_k)
    scale = tl.cast(beta * LOG2_E, ACC)
    if RUNS >= NUM_RUNS:
        runs, offsets = runs_of_tile(0, RUNS, RUN)
        z = load_runs(map_start + offsets, runs, NUM_RUNS, RUNS, ACC)
        columns, rows = cells_of_runs(runs, WIDTH, RUN, ACC)
        peak = tl.max(z)
        e = exponentials(z, safe_shift(peak), scale)
        total, total_x, total_y = tile_sums(e, columns, rows, RUN, ACC)
    else:
        peak, total, total_x, total_y, _xx, _yy, _xy, _t = expectation(
            map_start, scale, WIDTH, NUM_RUNS, ACC, RUNS, RUN, False, False
        )
    x, y = total_x / (total * WIDTH), total_y / (total * HEIGHT)
    tl.store(coordinates + 2 * index, x)
    tl.store(coordinates + 2 * index + 1, y)
    error_x = x - tl.load(target + 2 * landmark).to(ACC)
    error_y = y - tl.load(target + 2 * landmark + 1).to(ACC)
    importance = tl.full([], 1.0, ACC)
    if weight is not None:
        importance = tl.load(weight + landmark).to(ACC)
    width, curvature = tl.cast(width, ACC), tl.cast(curvature, ACC)
    cost_x, slope_x = penalty_and_slope(error_x, width, curvature, PENALTY)
    cost_y, slope_y = penalty_and_slope(error_y, width, curvature, PENALTY)
    tl.store(errors + index, importance * (cost_x + cost_y))

    if gradient is not None:
        factor = importance * tl.cast(beta * unit, ACC) / total
        grad_x, grad_y = factor * slope_x, factor * slope_y
        grad_start = map_address(gradient, index, num_maps, grad_stride_b, grad_stride_k)
        step = (grad_x * (tl.arange(0, RUN).to(ACC) / WIDTH))[None, :]
        if RUNS >= NUM_RUNS:
            slope = grad_x * ((columns + 0.5) / WIDTH - x) + grad_y * ((rows + 0.5) / HEIGHT - y)
            store_runs(grad_start + offsets, e * (slope[:, None] + step), runs, NUM_RUNS, RUNS)
        else:
            for start in range(0, NUM_RUNS, RUNS):
                runs, offsets = runs_of_tile(start, RUNS, RUN)
                e = exponentials(
                    load_runs(map_start + offsets, runs, NUM_RUNS, RUNS, ACC), peak, scale
                )
                columns, rows = cells_of_runs(runs, WIDTH, RUN, ACC)
                slope = grad_x * ((columns + 0.5) / WIDTH - x)
                slope += grad_y * ((rows + 0.5) / HEIGHT - y)
                store_runs(grad_start + offsets, e * (slope[:, None] + step), runs, NUM_RUNS, RUNS)


@triton.jit(do_not_specialize=["numel"])
def rescale_kernel(
    source,
    result,
    factor,
    numel: tl.int64,
    ACC: tl.constexpr,
    ELEMENTS: tl.constexpr,
    VECTOR: tl.constexpr,
    IN_PLACE: tl.constexpr,
):
    """result = factor * source; in place, a factor of 1 does nothing."""
    scale = tl.load(factor).to(ACC)
    if (scale != 1.0) | (not IN_PLACE):
        index = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
        valid = index < numel // VECTOR * VECTOR
        value = tl.load(source + index, mask=valid, other=0.0).to(ACC)
        tl.store(result + index, value * scale, mask=valid)


@triton.jit(do_not_specialize=["num_rows", "num_landmarks"])
def penalty_kernel(
    coordinates,
    target,
    weight,
    errors,
    slopes,
    num_rows,
    num_landmarks,
    unit: tl.float64,
    width: tl.float64,
    curvature: tl.float64,
    ACC: tl.constexpr,
    PENALTY: tl.constexpr,
    LANDMARKS: tl.constexpr,
):
    """Errors and slopes at coordinates [T * B, K, 2], for targets [B, K, 2]."""
    index = tl.program_id(0).to(tl.int64) * LANDMARKS + tl.arange(0, LANDMARKS)
    valid, landmark = index < num_rows, index % num_landmarks
    x, y = load_pairs(coordinates, index, valid, ACC)
    target_x, target_y = load_pairs(target, landmark, valid, ACC)
    importance = tl.full([LANDMARKS], 1.0, ACC)
    if weight is not None:
        importance = tl.load(weight + landmark, mask=valid, other=0.0).to(ACC)
    width, curvature = tl.cast(width, ACC), tl.cast(curvature, ACC)
    cost_x, slope_x = penalty_and_slope(x - target_x, width, curvature, PENALTY)
    cost_y, slope_y = penalty_and_slope(y - target_y, width, curvature, PENALTY)
    tl.store(errors + index, importance * (cost_x + cost_y), mask=valid)
    factor = importance * tl.cast(unit, ACC)
    store_pairs(slopes, index, factor * slope_x, factor * slope_y, valid)


def soft_argmax_loss(
    logits: Sequence[Tensor],
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    penalty: str,
    width: float,
    curvature: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, coordinates [T * B, K, 2], the logits' gradient for an upstream gradient of 1)."""
    first, stacks = logits[0], len(logits)
    dtype = accumulation_dtype(first.dtype)
    batch, num_maps = first.shape[:2]
    coordinates = first.new_empty((stacks * batch, num_maps, 2), dtype=dtype)
    errors = first.new_empty((stacks * batch, num_maps), dtype=dtype)
    gradient = empty_unit_gradient(first, stacks) if with_gradient else None
    if errors.numel() > 0:
        settings = (penalty, (first.shape[2], first.shape[3]))
        scalars = (beta, 1.0 / (2 * errors.numel()), width, curvature)
        weight = None if weight is None else weight.contiguous()
        labels = (target.contiguous(), weight)
        rows = list(map(flat_pixels, _alike(logits)))
        grad_rows = None if gradient is None else flat_pixels(gradient)
        results = (coordinates, errors, grad_rows)
        if has_contiguous_pixels(rows[0]) and (
            grad_rows is None or has_contiguous_pixels(grad_rows)
        ):
            _launch_contiguous(rows, labels, results, scalars, settings)
        else:
            _launch_strided(rows, labels, results, scalars, settings)
    loss = mean(errors, 2 * errors.numel()) if errors.numel() else errors.new_full((), torch.nan)
    return loss, coordinates, first.new_empty(0) if gradient is None else gradient


def _alike(logits: Sequence[Tensor]) -> Sequence[Tensor]:
    """Those maps, copied where they do not all have the same strides."""
    if all(maps.stride() == logits[0].stride() for maps in logits):
        return logits
    return [empty_gradient(logits[0]).copy_(maps) for maps in logits]


_Labels = tuple[Tensor, Tensor | None]
_Results = tuple[Tensor, Tensor, Tensor | None]
_Settings = tuple[str, tuple[int, int]]


def _launch_contiguous(
    rows: Sequence[Tensor],
    labels: _Labels,
    results: _Results,
    scalars: tuple[float, ...],
    settings: _Settings,
) -> None:
    for first in range(0, len(rows), _MOST_STACKS):
        stacks = rows[first : first + _MOST_STACKS]
        padding = (None,) * (_MOST_STACKS - len(stacks))
        launch(_plan, (*stacks, *padding, *labels, *results), scalars, *settings, first)


def _plan(*arguments: Any) -> Plan:
    """Of the kernel's tensors, the penalty, the size (H, W) of the maps, and the first stack."""
    rows, (gradient, penalty, size, first_stack) = arguments[0], arguments[-4:]
    batch, num_maps, _ = rows.shape
    stacks = sum(maps is not None for maps in arguments[:_MOST_STACKS])
    height, width = size
    tiles = run_tiles(height, width, rows.dtype)
    constants = {
        "HEIGHT": height,
        "WIDTH": width,
        "ACC": TRITON_DTYPE[accumulation_dtype(rows.dtype)],
        "RUNS": tiles.runs,
        "RUN": tiles.run,
        "PENALTY": penalty,
        "num_warps": tiles.warps,
    }
    grad_strides = strides(rows if gradient is None else gradient)[:2]
    integers = (num_maps, *strides(rows)[:2], *grad_strides, first_stack)
    return Plan(soft_argmax_loss_kernel, (batch * num_maps, stacks), integers, constants)


def _launch_strided(
    rows: Sequence[Tensor],
    labels: _Labels,
    results: _Results,
    scalars: tuple[float, ...],
    settings: _Settings,
) -> None:
    coordinates, errors, gradient = results
    beta, (penalty, size) = scalars[0], settings
    statistics, slopes = torch.empty_like(coordinates), torch.empty_like(coordinates)
    first_samples = range(0, len(errors), len(rows[0]))
    for maps, first in zip(rows, first_samples, strict=True):
        launch_forward((maps, coordinates, None, statistics), beta, size, first)
    launch(_penalty_plan, (coordinates, *labels, errors, slopes), scalars[1:], penalty)
    if gradient is None:
        return
    for maps, first in zip(rows, first_samples, strict=True):
        tensors = (slopes, None, maps, coordinates, None, statistics, gradient)
        launch_backward(tensors, beta, size, first)


def _penalty_plan(
    coordinates: Tensor,
    target: Tensor,
    weight: Tensor | None,
    errors: Tensor,
    slopes: Tensor,
    penalty: str,
) -> Plan:
    constants = {
        "ACC": TRITON_DTYPE[errors.dtype],
        "PENALTY": penalty,
        "LANDMARKS": _LANDMARKS,
        "num_warps": 4,
    }
    grid = (quotient_up(errors.numel(), _LANDMARKS),)
    return Plan(penalty_kernel, grid, (errors.numel(), target.numel() // 2), constants)


def soft_argmax_loss_backward(
    grad_loss: Tensor, unit_gradient: Tensor, dtype: torch.dtype
) -> Tensor:
    """The unit gradient times the loss's, as a new tensor of `dtype`."""
    result = empty_gradient(unit_gradient, dtype)
    _rescale(grad_loss, unit_gradient, result)
    return result


def soft_argmax_loss_rescale_(grad_loss: Tensor, unit_gradient: Tensor) -> None:
    """Multiply the unit gradient by the loss's, in place."""
    _rescale(grad_loss, unit_gradient, unit_gradient)


def _rescale(factor: Tensor, source: Tensor, result: Tensor) -> None:
    if source.numel() > 0:
        launch(_rescale_plan, (source, result, factor), (source.numel(),), source is result)


def _rescale_plan(source: Tensor, result: Tensor, factor: Tensor, in_place: bool) -> Plan:
    constants = {
        "ACC": TRITON_DTYPE[accumulation_dtype(source.dtype)],
        "ELEMENTS": _ELEMENTS,
        "VECTOR": math.gcd(math.prod(source.shape[1:]), 8),
        "IN_PLACE": in_place,
        "num_warps": 8,
    }
    return Plan(rescale_kernel, (quotient_up(source.numel(), _ELEMENTS),), (), constants)
