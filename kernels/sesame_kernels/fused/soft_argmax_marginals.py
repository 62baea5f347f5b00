"""Means and marginals of each map's softmax in Triton.

A program processes maps of one sample, row by row of pixels, in any layout: it reads them for the
maximum and the sum, and once more, from the cache, for the marginals. Where maps lie side by side,
K and the strides are given in units, so that a thread loads as many maps at once.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    has_contiguous_pixels,
    power_of_2_from,
    quotient_up,
)
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import LOG2_E, exponentials, safe_shift
from sesame_kernels.fused.strided_soft_argmax import common_unit, strided_by
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


def _tiles(maps: Tensor, height: int, width: int, writes: bool) -> _Tiles:
    """For [B, K, P], which are read, or written; neighbours together where pixels are apart."""
    columns = power_of_2_from(width)
    together = 1 if has_contiguous_pixels(maps) else min(16, power_of_2_from(maps.shape[1]))
    most = 4096
    if together > 1 and maps.dtype.itemsize > 2 and not writes:
        most = 2048  # with more, ptxas spills registers for sm_100
    rows = min(power_of_2_from(height), max(1, most // (columns * together)))
    return _Tiles(rows, columns, together, warps=4 if rows * columns * together > 1024 else 2)


@triton.jit
def _maps_of_program(map_units, UNIT: tl.constexpr, MAPS: tl.constexpr):
    """(sample, maps [MAPS], whether they exist, index of each over all samples)."""
    num_maps = map_units * UNIT
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
    pixel_units,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNIT: tl.constexpr,
):
    """(addresses [ROWS, COLUMNS, MAPS] of rows from `first` on, whether they exist)."""
    rows, columns = first + tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    pixels = rows[:, None] * WIDTH + columns[None, :]
    exists = (rows < HEIGHT)[:, None] & (columns < WIDTH)[None, :]
    offsets = pixels.to(tl.int64)[:, :, None] * (pixel_units * UNIT)
    offsets += maps.to(tl.int64)[None, None, :] * stride_k
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
    coordinates,
    along_x,
    along_y,
    statistics,
    map_units,
    stride_b,
    stride_k,
    pixel_units,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    MAPS: tl.constexpr,
    UNIT: tl.constexpr,
    ACC: tl.constexpr,
):
    sample, maps, is_map, index = _maps_of_program(map_units, UNIT, MAPS)
    start = logits + sample * stride_b
    scale = tl.cast(beta * LOG2_E, ACC)
    peak = tl.full([MAPS], float("-inf"), ACC)
    total = tl.zeros([MAPS], ACC)
    for first in range(0, HEIGHT, ROWS):
        addresses, exists = _addresses(
            start, first, maps, is_map, stride_k, pixel_units, HEIGHT, WIDTH, ROWS, COLUMNS, UNIT
        )
        z = tl.load(addresses, mask=exists, other=float("-inf")).to(ACC)
        new_peak = tl.maximum(peak, tl.max(tl.max(z, axis=1), axis=0))
        shift = safe_shift(new_peak)
        tile = tl.sum(tl.sum(exponentials(z, shift[None, None, :], scale), axis=1), axis=0)
        total = total * exponentials(peak, shift, scale) + tile
        peak = new_peak
    store_pairs(statistics, index, peak, total, is_map)
    columns = tl.zeros([COLUMNS, MAPS], ACC)
    total_y = tl.zeros([MAPS], ACC)
    shift = safe_shift(peak)
    for first in range(0, HEIGHT, ROWS):
        addresses, exists = _addresses(
            start, first, maps, is_map, stride_k, pixel_units, HEIGHT, WIDTH, ROWS, COLUMNS, UNIT
        )
        z = tl.load(addresses, mask=exists, other=float("-inf")).to(ACC)
        e = exponentials(z, shift[None, None, :], scale)
        columns += tl.sum(e, axis=0)
        rows = first + tl.arange(0, ROWS)
        result = along_y + index[None, :] * HEIGHT + rows[:, None]
        is_row = (rows < HEIGHT)[:, None] & is_map[None, :]
        of_rows = tl.sum(e, axis=1)
        total_y += tl.sum(of_rows * (rows.to(ACC) + 0.5)[:, None], axis=0)
        tl.store(result, of_rows / total[None, :], mask=is_row)
    result, exists = _vectors(along_x, index, is_map, WIDTH, COLUMNS)
    tl.store(result, columns / total[None, :], mask=exists)
    total_x = tl.sum(columns * (tl.arange(0, COLUMNS).to(ACC) + 0.5)[:, None], axis=0)
    store_pairs(coordinates, index, total_x / (total * WIDTH), total_y / (total * HEIGHT), is_map)


@triton.jit
def soft_argmax_marginals_backward_kernel(
    grad_coordinates,
    grad_x,
    grad_y,
    logits,
    coordinates,
    along_x,
    along_y,
    statistics,
    grad_logits,
    map_units,
    stride_b,
    stride_k,
    pixel_units,
    grad_stride_b,
    grad_stride_k,
    grad_pixel_units,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    MAPS: tl.constexpr,
    UNIT: tl.constexpr,
    ACC: tl.constexpr,
    PADDED_HEIGHT: tl.constexpr,
):
    """beta p (g_a + g_b - their mean under p + g . (c - mean))."""
    sample, maps, is_map, index = _maps_of_program(map_units, UNIT, MAPS)
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
    mean_x, mean_y = load_pairs(coordinates, index, is_map, ACC)
    of_x, of_y = load_pairs(grad_coordinates, index, is_map, ACC)
    x = (tl.arange(0, COLUMNS).to(ACC) + 0.5)[:, None] / WIDTH - mean_x[None, :]
    y = (rows.to(ACC) + 0.5)[:, None] / HEIGHT - mean_y[None, :]
    of_columns += of_x[None, :] * x
    of_rows += of_y[None, :] * y
    start = logits + sample * stride_b
    addresses, exists = _addresses(
        start, first, maps, is_map, stride_k, pixel_units, HEIGHT, WIDTH, ROWS, COLUMNS, UNIT
    )
    z = tl.load(addresses, mask=exists, other=float("-inf")).to(ACC)
    e = exponentials(z, peak[None, None, :], tl.cast(beta * LOG2_E, ACC))
    slope = of_columns[None, :, :] + of_rows[:, None, :] - mean[None, None, :]
    slope *= (tl.cast(beta, ACC) / total)[None, None, :]
    start = grad_logits + sample * grad_stride_b
    addresses, exists = _addresses(
        start,
        first,
        maps,
        is_map,
        grad_stride_k,
        grad_pixel_units,
        HEIGHT,
        WIDTH,
        ROWS,
        COLUMNS,
        UNIT,
    )
    tl.store(addresses, e * slope, mask=exists)


def soft_argmax_marginals(
    logits: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], along x [B, K, W], along y [B, K, H], statistics [B, K, 2]).

    The statistics are as of `soft_argmax`.
    """
    batch, num_maps, height, width = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    coordinates, along_x, along_y, statistics = (
        logits.new_empty((batch, num_maps, size), dtype=dtype) for size in (2, width, height, 2)
    )
    if along_x.numel() > 0:
        tensors = (flat_pixels(logits), coordinates, along_x, along_y, statistics)
        launch(_forward_plan, tensors, (beta,))
    return coordinates, along_x, along_y, statistics


def _forward_plan(
    rows: Tensor, coordinates: Tensor, along_x: Tensor, along_y: Tensor, statistics: Tensor
) -> Plan:
    size = (along_y.shape[2], along_x.shape[2])
    tiles = _tiles(rows, *size, writes=False)
    constants = _constants(tiles, size, along_x.dtype, common_unit(rows))
    batch, num_maps, _ = rows.shape
    unit = constants["UNIT"]
    return Plan(
        soft_argmax_marginals_kernel,
        (batch * quotient_up(num_maps, tiles.maps),),
        (num_maps // unit, *strided_by(rows, unit)),
        constants,
    )


def _constants(
    tiles: _Tiles, size: tuple[int, int], dtype: torch.dtype, unit: int
) -> dict[str, Any]:
    """For maps of `size` (H, W)."""
    return {
        "HEIGHT": size[0],
        "WIDTH": size[1],
        "ROWS": tiles.rows,
        "COLUMNS": tiles.columns,
        "MAPS": tiles.maps,
        "UNIT": unit,
        "ACC": TRITON_DTYPE[dtype],
        "num_warps": tiles.warps,
    }


def soft_argmax_marginals_backward(
    grad_coordinates: Tensor,
    grad_x: Tensor,
    grad_y: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    grad_logits = empty_gradient(logits)
    if grad_logits.numel() > 0:
        tensors = (
            grad_coordinates.contiguous(),
            grad_x.contiguous(),
            grad_y.contiguous(),
            flat_pixels(logits),
            coordinates.contiguous(),
            along_x.contiguous(),
            along_y.contiguous(),
            statistics.contiguous(),
            flat_pixels(grad_logits),
        )
        launch(_backward_plan, tensors, (beta,))
    return grad_logits


def _backward_plan(*tensors: Tensor) -> Plan:
    rows, along_x, along_y, grad_rows = (tensors[index] for index in (3, 5, 6, 8))
    size, unit = (along_y.shape[2], along_x.shape[2]), common_unit(rows, grad_rows)
    tiles = _tiles(grad_rows, *size, writes=True)
    constants = _constants(tiles, size, along_x.dtype, unit)
    batch, num_maps, _ = rows.shape
    return Plan(
        soft_argmax_marginals_backward_kernel,
        (batch * quotient_up(num_maps, tiles.maps), quotient_up(size[0], tiles.rows)),
        (num_maps // unit, *strided_by(rows, unit), *strided_by(grad_rows, unit)),
        constants | {"PADDED_HEIGHT": power_of_2_from(size[0])},
    )
