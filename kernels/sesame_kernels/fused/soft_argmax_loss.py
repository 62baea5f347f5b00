"""Soft-argmax, a loss of its coordinates and its gradient in Triton: the maps are read once and
written once.

Where a program has its whole map in one tile, the gradient is made of the exponentials at hand;
otherwise it reads the map again, from the cache, once the coordinates are known. Maps whose pixels
are apart in memory go through the two kernels of soft-argmax, which are faster for them.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    has_contiguous_pixels,
    quotient_up,
    run_tiles,
    strides,
)
from sesame_kernels.fused.penalties import penalty_and_slope
from sesame_kernels.fused.runs import (
    LOG2_E,
    cells_of_runs,
    exponentials,
    load_runs,
    row_addresses,
    runs_of_tile,
    safe_shift,
    store_runs,
)
from sesame_kernels.fused.soft_argmax import expectation, tile_sums
from sesame_kernels.fused.strided_soft_argmax import strided_backward, strided_forward
from sesame_kernels.fused.sums import mean
from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    empty_unit_gradient,
    flat_pixels,
)
from sesame_kernels.reference.penalties import penalty_slopes, penalty_values

__all__ = ["soft_argmax_loss", "soft_argmax_loss_backward", "soft_argmax_loss_rescale_"]

_ELEMENTS = 4096


@triton.jit
def soft_argmax_loss_kernel(
    logits,
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
    NUM_RUNS: tl.constexpr = HEIGHT * WIDTH // RUN
    index, map_start = row_addresses(logits, num_maps, stride_b, stride_k)
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
    error_x = x - tl.load(target + 2 * index).to(ACC)
    error_y = y - tl.load(target + 2 * index + 1).to(ACC)
    importance = tl.full([], 1.0, ACC)
    if weight is not None:
        importance = tl.load(weight + index).to(ACC)
    width, curvature = tl.cast(width, ACC), tl.cast(curvature, ACC)
    cost_x, slope_x = penalty_and_slope(error_x, width, curvature, PENALTY)
    cost_y, slope_y = penalty_and_slope(error_y, width, curvature, PENALTY)
    tl.store(errors + index, importance * (cost_x + cost_y))

    if gradient is not None:
        factor = importance * tl.cast(beta * unit, ACC) / total
        grad_x, grad_y = factor * slope_x, factor * slope_y
        _, grad_start = row_addresses(gradient, num_maps, grad_stride_b, grad_stride_k)
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


def soft_argmax_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    penalty: str,
    width: float,
    curvature: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, coordinates [B, K, 2], the logits' gradient for an upstream gradient of 1)."""
    batch, num_maps = logits.shape[:2]
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((batch, num_maps, 2), dtype=dtype)
    errors = logits.new_empty((batch, num_maps), dtype=dtype)
    gradient = empty_unit_gradient(logits) if with_gradient else None
    if errors.numel() > 0:
        results = (coordinates, errors, gradient)
        _launch(logits, target, weight, beta, (penalty, width, curvature), results)
    loss = mean(errors, 2 * errors.numel()) if errors.numel() else errors.new_full((), torch.nan)
    return loss, coordinates, logits.new_empty(0) if gradient is None else gradient


def _launch(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    penalty: tuple[str, float, float],
    results: tuple[Tensor, Tensor, Tensor | None],
) -> None:
    coordinates, errors, gradient = results
    batch, num_maps, rows_of_map, columns = logits.shape
    rows = flat_pixels(logits)
    grad_rows = rows if gradient is None else flat_pixels(gradient)
    weight = None if weight is None else weight.contiguous()
    written = (coordinates, errors, None if gradient is None else grad_rows)
    unit = 1.0 / (2 * errors.numel())
    if has_contiguous_pixels(rows) and has_contiguous_pixels(grad_rows):
        tiles = run_tiles(rows_of_map, columns, logits.dtype)
        soft_argmax_loss_kernel[(batch * num_maps,)](
            rows,
            target.contiguous(),
            weight,
            *written,
            num_maps,
            *strides(rows)[:2],
            *strides(grad_rows)[:2],
            beta,
            unit,
            *penalty[1:],
            HEIGHT=rows_of_map,
            WIDTH=columns,
            ACC=TRITON_DTYPE[errors.dtype],
            RUNS=tiles.runs,
            RUN=tiles.run,
            PENALTY=penalty[0],
            num_warps=tiles.warps,
        )
        return
    statistics = torch.empty_like(coordinates)
    strided_forward(rows, (rows_of_map, columns), coordinates, None, statistics, beta)
    error = coordinates - target.to(coordinates.dtype)
    importance = 1.0 if weight is None else weight.to(coordinates.dtype)[:, :, None]
    torch.sum(penalty_values(error, *penalty) * importance, dim=2, out=errors)
    if gradient is not None:
        slope = penalty_slopes(error, *penalty) * (importance * unit)
        saved = (coordinates, None, statistics)
        strided_backward(slope, None, rows, saved, grad_rows, (rows_of_map, columns), beta)


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
    if source.numel() == 0:
        return
    rescale_kernel[(quotient_up(source.numel(), _ELEMENTS),)](
        source,
        result,
        factor,
        source.numel(),
        ACC=TRITON_DTYPE[accumulation_dtype(source.dtype)],
        ELEMENTS=_ELEMENTS,
        VECTOR=math.gcd(math.prod(source.shape[1:]), 8),
        IN_PLACE=source is result,
        num_warps=8,
    )
