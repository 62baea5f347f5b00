"""Soft-argmax in Triton: one read of the logits forward, one read and one write backward.

The kernels here are for maps with contiguous pixels, one program per map; those of channels-last
maps are in `folded_soft_argmax`, and all others in `strided_soft_argmax`.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.expectation import expectation
from sesame_kernels.fused.folded_moments import (
    launch_folded_moments,
    launch_folded_moments_backward,
)
from sesame_kernels.fused.folded_soft_argmax import (
    fold_of,
    folded_backward_plan,
    folded_forward_plan,
)
from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    has_contiguous_pixels,
    quotient_up,
    run_tiles,
    strides,
)
from sesame_kernels.fused.parts import merge_plan
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import (
    LOG2_E,
    cells_of_runs,
    entropy_of_sums,
    entropy_slope,
    exponentials,
    exponents,
    largest_probability,
    load_runs,
    map_address,
    runs_of_tile,
    store_runs,
)
from sesame_kernels.fused.strided_soft_argmax import (
    strided_backward_plan,
    strided_forward_plan,
)
from sesame_kernels.layout import accumulation_dtype, empty_gradient, flat_pixels

__all__ = [
    "launch_backward",
    "launch_forward",
    "soft_argmax",
    "soft_argmax_backward",
    "soft_argmax_distribution",
    "soft_argmax_distribution_backward",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
]


@triton.jit
def soft_argmax_kernel(
    logits,
    coordinates,
    moments,
    statistics,
    num_maps,
    stride_b,
    stride_k,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    RUNS: tl.constexpr,
    RUN: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    """Coordinates, and as many `moments` as MOMENTS says: none, 3, or 5 with entropy and peak."""
    index = tl.program_id(0)
    map_start = map_address(logits, index, num_maps, stride_b, stride_k)
    scale = tl.cast(beta * LOG2_E, ACC)
    peak, total, total_x, total_y, total_xx, total_yy, total_xy, total_t = expectation(
        map_start, scale, WIDTH, HEIGHT * WIDTH // RUN, ACC, RUNS, RUN, MOMENTS > 0, MOMENTS == 5
    )
    tl.store(coordinates + 2 * index, total_x / (total * WIDTH))
    tl.store(coordinates + 2 * index + 1, total_y / (total * HEIGHT))
    tl.store(statistics + 2 * index, peak)
    tl.store(statistics + 2 * index + 1, total)
    if MOMENTS:
        result = moments + MOMENTS * index
        tl.store(result, total_xx / (total * WIDTH) / WIDTH)
        tl.store(result + 1, total_yy / (total * HEIGHT) / HEIGHT)
        tl.store(result + 2, total_xy / (total * WIDTH) / HEIGHT)
        if MOMENTS == 5:
            tl.store(result + 3, entropy_of_sums(total, total_t))
            tl.store(result + 4, largest_probability(total))


@triton.jit
def soft_argmax_backward_kernel(
    grad_coordinates,
    grad_moments,
    logits,
    coordinates,
    moments,
    statistics,
    grad_logits,
    num_maps,
    stride_b,
    stride_k,
    grad_stride_b,
    grad_stride_k,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    RUNS: tl.constexpr,
    RUN: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    """beta p (g . (c - mean)), a polynomial of the position in a run times the exponential."""
    NUM_RUNS: tl.constexpr = HEIGHT * WIDTH // RUN
    index = tl.program_id(0)
    map_start = map_address(logits, index, num_maps, stride_b, stride_k)
    grad_start = map_address(grad_logits, index, num_maps, grad_stride_b, grad_stride_k)
    runs, offsets = runs_of_tile(tl.program_id(1) * RUNS, RUNS, RUN)
    x = tl.load(coordinates + 2 * index)
    y = tl.load(coordinates + 2 * index + 1)
    peak = tl.load(statistics + 2 * index)
    total = tl.load(statistics + 2 * index + 1)
    factor = tl.cast(beta, ACC) / total
    grad_x = tl.load(grad_coordinates + 2 * index).to(ACC) * factor
    grad_y = tl.load(grad_coordinates + 2 * index + 1).to(ACC) * factor

    scale = tl.cast(beta * LOG2_E, ACC)
    z = load_runs(map_start + offsets, runs, NUM_RUNS, RUNS, ACC)
    e = exponentials(z, peak, scale)
    columns, rows = cells_of_runs(runs, WIDTH, RUN, ACC)
    away_x = (columns + 0.5) / WIDTH - x
    away_y = (rows + 0.5) / HEIGHT - y
    step = tl.arange(0, RUN).to(ACC)[None, :] / WIDTH
    if MOMENTS:
        upstream, saved = grad_moments + MOMENTS * index, moments + MOMENTS * index
        grad_xx = tl.load(upstream) * factor
        grad_yy = tl.load(upstream + 1) * factor
        grad_xy = tl.load(upstream + 2) * factor
        constant = grad_y * away_y - grad_xx * tl.load(saved)
        constant += grad_yy * (away_y * away_y - tl.load(saved + 1))
        constant -= grad_xy * tl.load(saved + 2)
        linear = grad_x + grad_xy * away_y
        away = away_x[:, None] + step
        slope = constant[:, None] + away * (linear[:, None] + away * grad_xx)
        if MOMENTS == 5:
            t = exponents(z, peak, scale)
            slope += tl.load(upstream + 3) * factor * entropy_slope(t, total, tl.load(saved + 3))
    else:
        slope = (grad_x * away_x + grad_y * away_y)[:, None] + grad_x * step
    store_runs(grad_start + offsets, e * slope, runs, NUM_RUNS, RUNS)


def soft_argmax(logits: Tensor, beta: float, reuse: bool) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], statistics [B, K, 2]).

    The statistics are the largest logit and the sum of exp(beta * (logits - it)).
    """
    coordinates, statistics, _ = _forward(logits, beta, 0)
    return coordinates, statistics


def soft_argmax_moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], moments [B, K, 3], statistics [B, K, 2])."""
    coordinates, statistics, moments = _forward(logits, beta, 3)
    assert moments is not None
    return coordinates, moments, statistics


def soft_argmax_distribution(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """As `soft_argmax_moments`, with five moments: also entropy and largest probability."""
    coordinates, statistics, moments = _forward(logits, beta, 5)
    assert moments is not None
    return coordinates, moments, statistics


def _forward(logits: Tensor, beta: float, num_moments: int) -> tuple[Tensor, Tensor, Tensor | None]:
    batch, num_maps, height, width = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((batch, num_maps, 2), dtype=dtype)
    statistics = torch.empty_like(coordinates)
    moments = None
    if num_moments:
        moments = logits.new_empty((batch, num_maps, num_moments), dtype=dtype)
    if coordinates.numel() > 0:
        tensors = (flat_pixels(logits), coordinates, moments, statistics)
        launch_forward(tensors, beta, (height, width))
    return coordinates, statistics, moments


def launch_forward(
    tensors: tuple[Tensor, Tensor, Tensor | None, Tensor],
    beta: float,
    size: tuple[int, int],
    first_sample: int = 0,
) -> None:
    """For maps [B, K, P] of `size` (H, W), their coordinates, moments and statistics.

    Where pixels are apart, results may begin at another sample of their tensors: a slice of these
    would not always be aligned, and Triton would compile the kernel for either.
    """
    rows, coordinates, moments, statistics = tensors
    fold = fold_of(rows, size[1])
    if not fold:
        launch(_forward_plan, tensors, (beta,), size, first_sample)
        return
    if moments is not None:
        assert first_sample == 0
        launch_folded_moments(rows, (coordinates, moments, statistics), beta, size, fold)
        return
    batch, num_maps, _ = rows.shape
    partials = coordinates.new_empty((batch * fold, num_maps, 4))
    launch(folded_forward_plan, (rows, partials), (beta,), size, fold)
    merged = (partials, coordinates, statistics)
    launch(merge_plan, merged, (beta,), fold, size, first_sample)


def _forward_plan(
    rows: Tensor,
    coordinates: Tensor,
    moments: Tensor | None,
    statistics: Tensor,
    size: tuple[int, int],
    first_sample: int,
) -> Plan:
    if not has_contiguous_pixels(rows):
        return strided_forward_plan(rows, coordinates, moments, size, first_sample)
    assert first_sample == 0
    batch, num_maps, _ = rows.shape
    constants, _ = _constants(rows, coordinates, moments, size)
    integers = (num_maps, *strides(rows)[:2])
    return Plan(soft_argmax_kernel, (batch * num_maps,), integers, constants)


def _constants(
    rows: Tensor, coordinates: Tensor, moments: Tensor | None, size: tuple[int, int]
) -> tuple[dict[str, Any], int]:
    """(constants, programs per map backward) of maps with contiguous pixels."""
    tiles = run_tiles(*size, rows.dtype)
    constants = {
        "HEIGHT": size[0],
        "WIDTH": size[1],
        "ACC": TRITON_DTYPE[coordinates.dtype],
        "RUNS": tiles.runs,
        "RUN": tiles.run,
        "MOMENTS": 0 if moments is None else moments.shape[2],
        "num_warps": tiles.warps,
    }
    return constants, quotient_up(size[0] * size[1], tiles.runs * tiles.run)


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    return _backward(grad_coordinates, None, logits, coordinates, None, statistics, beta)


def soft_argmax_moments_backward(
    grad_coordinates: Tensor,
    grad_moments: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    moments: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    grad_moments, moments = grad_moments.contiguous(), moments.contiguous()
    return _backward(grad_coordinates, grad_moments, logits, coordinates, moments, statistics, beta)


soft_argmax_distribution_backward = soft_argmax_moments_backward


def _backward(
    grad_coordinates: Tensor,
    grad_moments: Tensor | None,
    logits: Tensor,
    coordinates: Tensor,
    moments: Tensor | None,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    grad_logits = empty_gradient(logits)
    if grad_logits.numel() > 0:
        tensors = (
            grad_coordinates.contiguous(),
            grad_moments,
            flat_pixels(logits),
            coordinates.contiguous(),
            moments,
            statistics.contiguous(),
            flat_pixels(grad_logits),
        )
        launch_backward(tensors, beta, (logits.shape[2], logits.shape[3]))
    return grad_logits


def launch_backward(
    tensors: tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor | None, Tensor, Tensor],
    beta: float,
    size: tuple[int, int],
    first_sample: int = 0,
) -> None:
    """For the gradient of maps [B, K, P] of `size` (H, W); see `launch_forward`."""
    grad_coordinates, grad_moments, rows, coordinates, moments, statistics, grad_rows = tensors
    fold = fold_of(rows, size[1])
    if not (fold and fold_of(grad_rows, size[1])):
        launch(_backward_plan, tensors, (beta,), size, first_sample)
        return
    if grad_moments is not None and moments is not None:
        assert first_sample == 0
        upstream, whole = (grad_coordinates, grad_moments), (coordinates, moments, statistics)
        launch_folded_moments_backward((*upstream, rows, *whole, grad_rows), beta, size, fold)
        return
    folded = (grad_coordinates, rows, coordinates, statistics, grad_rows)
    launch(folded_backward_plan, folded, (beta,), size, fold, first_sample)


def _backward_plan(
    grad_coordinates: Tensor,
    grad_moments: Tensor | None,
    rows: Tensor,
    coordinates: Tensor,
    moments: Tensor | None,
    statistics: Tensor,
    grad_rows: Tensor,
    size: tuple[int, int],
    first_sample: int,
) -> Plan:
    if not (has_contiguous_pixels(rows) and has_contiguous_pixels(grad_rows)):
        return strided_backward_plan(rows, grad_rows, coordinates, moments, size, first_sample)
    assert first_sample == 0
    batch, num_maps, _ = rows.shape
    constants, programs = _constants(rows, coordinates, moments, size)
    integers = (num_maps, *strides(rows)[:2], *strides(grad_rows)[:2])
    return Plan(soft_argmax_backward_kernel, (batch * num_maps, programs), integers, constants)
