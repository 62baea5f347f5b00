"""Marginals of each map's softmax in Triton.

A program processes maps of one sample, row by row of pixels, in any layout: it reads them for the
maximum and the sum, and once more, from the cache, for the marginals.
"""

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    has_contiguous_pixels,
    power_of_2_from,
    quotient_up,
    strides,
)
from sesame_kernels.fused.runs import LOG2_E, exponentials, safe_shift
from sesame_kernels.fused.tiles import load_pairs, store_pairs
from sesame_kernels.layout import accumulation_dtype, empty_gradient, flat_pixels

__all__ = ["soft_argmax_marginals", "soft_argmax_marginals_backward"]


@dataclass(frozen=True)
class _Tiles:
    """Rows and columns of a tile of a program, its maps and its warps."""

    rows: int
    columns: int
    maps: int
    warps: int


def _tiles(maps: Tensor, height: int, width: int) -> _Tiles:
    """For [B, K, P]; neighbouring maps together where their pixels are apart."""
    columns = power_of_2_from(width)
    together = 1 if has_contiguous_pixels(maps) else min(16, power_of_2_from(maps.shape[1]))
    rows = min(power_of_2_from(height), max(1, 4096 // (columns * together)))
    return _Tiles(rows, columns, together, warps=4 if rows * columns * together > 1024 else 2)


@triton.jit
def _maps_of_program(num_maps, MAPS: tl.constexpr):
    """(sample, maps [MAPS], whether they exist, index of each over all samples)."""
    groups = tl.cdiv(num_maps, MAPS)
    sample = (tl.program_id(0) // groups).to(tl.int64)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    return sample, maps, maps < num_maps, sample * num_maps + maps


@triton.jit
def _addresses(
    start,
    first,
    maps,
    is_map,
    stride_k,
    stride_p,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """(addresses [ROWS, COLUMNS, MAPS] of rows from `first` on, whether they exist)."""
    rows, columns = first + tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    pixels = rows[:, None] * WIDTH + columns[None, :]
    exists = (rows < HEIGHT)[:, None] & (columns < WIDTH)[None, :]
    offsets = (
        pixels.to(tl.int64)[:, :, None] * stride_p + maps.to(tl.int64)[None, None, :] * stride_k
    )
    return start + offsets, exists[:, :, None] & is_map[None, None, :]


@triton.jit
def _vectors(tensor, index, is_map, COUNT: tl.constexpr, PADDED: tl.constexpr):
    """(addresses [PADDED, MAPS] of vectors of COUNT numbers per map, whether they exist)."""
    along = tl.arange(0, PADDED)
    return tensor + index[None, :] * COUNT + along[:, None], (along < COUNT)[:, None] & is_map[
        None, :
    ]


@triton.jit
def soft_argmax_marginals_kernel(
    logits,
    along_x,
    along_y,
    statistics,
    num_maps,
    stride_b,
    stride_k,
    stride_p,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    MAPS: tl.constexpr,
    ACC: tl.constexpr,
):
    sample, maps, is_map, index = _maps_of_program(num_maps, MAPS)
    start = logits + sample * stride_b
    scale = tl.cast(beta * LOG2_E, ACC)
    peak = tl.full([MAPS], float("-inf"), ACC)
    total = tl.zeros([MAPS], ACC)
    for first in range(0, HEIGHT, ROWS):
        addresses, exists = _addresses(
            start, first, maps, is_map, stride_k, stride_p, HEIGHT, WIDTH, ROWS, COLUMNS
        )
        z = tl.load(addresses, mask=exists, other=float("-inf")).to(ACC)
        new_peak = tl.maximum(peak, tl.max(tl.max(z, axis=1), axis=0))
        shift = safe_shift(new_peak)
        tile = tl.sum(tl.sum(exponentials(z, shift[None, None, :], scale), axis=1), axis=0)
        total = total * exponentials(peak, shift, scale) + tile
        peak = new_peak
    store_pairs(statistics, index, peak, total, is_map)
    columns = tl.zeros([COLUMNS, MAPS], ACC)
    shift = safe_shift(peak)
    for first in range(0, HEIGHT, ROWS):
        addresses, exists = _addresses(
            start, first, maps, is_map, stride_k, stride_p, HEIGHT, WIDTH, ROWS, COLUMNS
        )
        z = tl.load(addresses, mask=exists, other=float("-inf")).to(ACC)
        e = exponentials(z, shift[None, None, :], scale)
        columns += tl.sum(e, axis=0)
        rows = first + tl.arange(0, ROWS)
        result = along_y + index[None, :] * HEIGHT + rows[:, None]
        is_row = (rows < HEIGHT)[:, None] & is_map[None, :]
        tl.store(result, tl.sum(e, axis=1) / total[None, :], mask=is_row)
    result, exists = _vectors(along_x, index, is_map, WIDTH, COLUMNS)
    tl.store(result, columns / total[None, :], mask=exists)


@triton.jit
def soft_argmax_marginals_backward_kernel(
    grad_x,
    grad_y,
    logits,
    along_x,
    along_y,
    statistics,
    grad_logits,
    num_maps,
    stride_b,
    stride_k,
    stride_p,
    grad_stride_b,
    grad_stride_k,
    grad_stride_p,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    MAPS: tl.constexpr,
    PADDED_HEIGHT: tl.constexpr,
    ACC: tl.constexpr,
):
    """beta p (g_x + g_y - their mean under p)."""
    sample, maps, is_map, index = _maps_of_program(num_maps, MAPS)
    peak, total = load_pairs(statistics, index, is_map, ACC)
    addresses, exists = _vectors(grad_x, index, is_map, WIDTH, COLUMNS)
    of_columns = tl.load(addresses, mask=exists, other=0.0)
    addresses, exists = _vectors(along_x, index, is_map, WIDTH, COLUMNS)
    mean = tl.sum(of_columns * tl.load(addresses, mask=exists, other=0.0), axis=0)
    addresses, exists = _vectors(grad_y, index, is_map, HEIGHT, PADDED_HEIGHT)
    of_all_rows = tl.load(addresses, mask=exists, other=0.0)
    addresses, exists = _vectors(along_y, index, is_map, HEIGHT, PADDED_HEIGHT)
    mean += tl.sum(of_all_rows * tl.load(addresses, mask=exists, other=0.0), axis=0)

    first = tl.program_id(1) * ROWS
    rows = first + tl.arange(0, ROWS)
    is_row = (rows < HEIGHT)[:, None] & is_map[None, :]
    of_rows = tl.load(grad_y + index[None, :] * HEIGHT + rows[:, None], mask=is_row, other=0.0)
    start = logits + sample * stride_b
    addresses, exists = _addresses(
        start, first, maps, is_map, stride_k, stride_p, HEIGHT, WIDTH, ROWS, COLUMNS
    )
    z = tl.load(addresses, mask=exists, other=float("-inf")).to(ACC)
    e = exponentials(z, peak[None, None, :], tl.cast(beta * LOG2_E, ACC))
    slope = of_columns[None, :, :] + of_rows[:, None, :] - mean[None, None, :]
    slope *= (tl.cast(beta, ACC) / total)[None, None, :]
    start = grad_logits + sample * grad_stride_b
    addresses, exists = _addresses(
        start, first, maps, is_map, grad_stride_k, grad_stride_p, HEIGHT, WIDTH, ROWS, COLUMNS
    )
    tl.store(addresses, e * slope, mask=exists)


def soft_argmax_marginals(
    logits: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """(along x [B, K, W], along y [B, K, H], statistics [B, K, 2] as of `soft_argmax`)."""
    batch, num_maps, height, width = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    along_x, along_y, statistics = (
        logits.new_empty((batch, num_maps, size), dtype=dtype) for size in (width, height, 2)
    )
    if along_x.numel() == 0:
        return along_x, along_y, statistics
    rows = flat_pixels(logits)
    tiles = _tiles(rows, height, width)
    soft_argmax_marginals_kernel[(batch * quotient_up(num_maps, tiles.maps),)](
        rows,
        along_x,
        along_y,
        statistics,
        num_maps,
        *strides(rows),
        beta,
        HEIGHT=height,
        WIDTH=width,
        ROWS=tiles.rows,
        COLUMNS=tiles.columns,
        MAPS=tiles.maps,
        ACC=TRITON_DTYPE[dtype],
        num_warps=tiles.warps,
    )
    return along_x, along_y, statistics


def soft_argmax_marginals_backward(
    grad_x: Tensor,
    grad_y: Tensor,
    logits: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    batch, num_maps, height, width = logits.shape
    grad_logits = empty_gradient(logits)
    if grad_logits.numel() == 0:
        return grad_logits
    rows, grad_rows = flat_pixels(logits), flat_pixels(grad_logits)
    tiles = _tiles(grad_rows, height, width)
    grid = (batch * quotient_up(num_maps, tiles.maps), quotient_up(height, tiles.rows))
    vectors = (grad_x, grad_y, rows, along_x, along_y, statistics)
    soft_argmax_marginals_backward_kernel[grid](
        *(rows if each is rows else each.contiguous() for each in vectors),
        grad_rows,
        num_maps,
        *strides(rows),
        *strides(grad_rows),
        beta,
        HEIGHT=height,
        WIDTH=width,
        ROWS=tiles.rows,
        COLUMNS=tiles.columns,
        MAPS=tiles.maps,
        PADDED_HEIGHT=power_of_2_from(height),
        ACC=TRITON_DTYPE[along_x.dtype],
        num_warps=tiles.warps,
    )
    return grad_logits
