"""Soft-argmax of dense channels-last maps, where the number of maps K is not a multiple of 16.

The K numbers of a pixel then begin anywhere in a sector of memory, and threads load few bytes at
once. So `fold` neighbouring pixels are one row of fold * K columns, a multiple of 16: rows begin at
sectors, and threads load 16 bytes. A column has every fold-th pixel of a map. Its sums are those of
a part of the map, and a second kernel merges the parts; a column of the gradient needs nothing but
its map's results.
"""

import math
from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, has_contiguous_pixels, quotient_up, strides
from sesame_kernels.fused.parts import store_part
from sesame_kernels.fused.plans import Plan
from sesame_kernels.fused.runs import LOG2_E, exponentials, safe_shift
from sesame_kernels.fused.strided_soft_argmax import group_of_program, strided_expectation
from sesame_kernels.fused.tiles import load_pairs

__all__ = ["fold_of", "folded_backward_plan", "folded_forward_plan"]

_UNIT = 16
_UNITS = tl.constexpr(_UNIT)


def fold_of(rows: Tensor, width: int) -> int:
    """How many pixels of maps [B, K, P] are one row of columns; 0 if they are read as they are."""
    batch, num_maps, num_pixels = rows.shape
    fold = _UNIT // math.gcd(_UNIT, num_maps)
    if has_contiguous_pixels(rows) or rows.stride()[1:] != (1, num_maps):
        return 0
    if fold == 1 or width % fold or (batch > 1 and rows.stride(0) % _UNIT):
        return 0
    return fold if num_maps * num_pixels < 2**31 else 0


@dataclass(frozen=True)
class _Tiles:
    """A program's columns, the rows of a tile, and a program's tiles; 0: all that there are."""

    columns: int
    rows: int
    count: int = 0


_READ_WARPS = 1


def _read_tiles(rows: Tensor) -> _Tiles:
    """One sector of a row, or two of float32, and 16 bytes for each thread."""
    return _Tiles(_UNIT, 32 * _READ_WARPS * 16 // (_UNIT * rows.element_size()))


_WRITE_TILES = _Tiles(columns=64, rows=32, count=8)


@triton.jit
def _rows_of_tile(
    start,
    slots,
    columns,
    tile,
    column_units,
    NUM_ROWS: tl.constexpr,
    ROWS: tl.constexpr,
    ACC: tl.constexpr,
):
    """Elements [ROWS, COLUMNS] of a tile as ACC; -inf below the last row."""
    rows = tile * ROWS + slots
    addresses = start + rows[:, None] * (column_units * _UNITS) + columns[None, :]
    if NUM_ROWS % (4 * ROWS) == 0:
        return tl.load(addresses).to(ACC)
    return tl.load(addresses, mask=(rows < NUM_ROWS)[:, None], other=float("-inf")).to(ACC)


@triton.jit
def _whole_lines(
    start,
    columns,
    column_units,
    scale,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    FOLD: tl.constexpr,
    ACC: tl.constexpr,
    COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """As `strided_expectation`, where a tile has whole lines of pixels of the map; x from corners.

    Then every element of a tile has one x, and y grows from tile to tile by the same.
    """
    NUM_ROWS: tl.constexpr = HEIGHT * WIDTH // FOLD
    LINE: tl.constexpr = WIDTH // FOLD
    slots = tl.arange(0, ROWS)
    peak = tl.full([ROWS, COLUMNS], float("-inf"), ACC)
    total = tl.zeros([ROWS, COLUMNS], ACC)
    total_tiles = tl.zeros([ROWS, COLUMNS], ACC)
    for tile in range(0, tl.cdiv(NUM_ROWS, ROWS), 4):
        z0 = _rows_of_tile(start, slots, columns, tile, column_units, NUM_ROWS, ROWS, ACC)
        z1 = _rows_of_tile(start, slots, columns, tile + 1, column_units, NUM_ROWS, ROWS, ACC)
        z2 = _rows_of_tile(start, slots, columns, tile + 2, column_units, NUM_ROWS, ROWS, ACC)
        z3 = _rows_of_tile(start, slots, columns, tile + 3, column_units, NUM_ROWS, ROWS, ACC)
        new_peak = tl.maximum(tl.maximum(peak, tl.maximum(z0, z1)), tl.maximum(z2, z3))
        shift = safe_shift(new_peak)
        decay = exponentials(peak, shift, scale)
        e0, e1 = exponentials(z0, shift, scale), exponentials(z1, shift, scale)
        e2, e3 = exponentials(z2, shift, scale), exponentials(z3, shift, scale)
        sums = e0 + e1 + (e2 + e3)
        total = total * decay + sums
        total_tiles = total_tiles * decay + (sums * tile + (e1 + 2 * e2 + 3 * e3))
        peak = new_peak
    highest = tl.max(peak, axis=0)
    total *= exponentials(peak, safe_shift(highest)[None, :], scale)
    total_tiles *= exponentials(peak, safe_shift(highest)[None, :], scale)
    x = (slots % LINE).to(ACC)[:, None]
    y = ((slots // LINE).to(ACC) + 0.5)[:, None]
    total_y = total * y + total_tiles * (ROWS // LINE)
    return highest, tl.sum(total, axis=0), tl.sum(total * x, axis=0), tl.sum(total_y, axis=0)


@triton.jit
def folded_kernel(
    logits,
    partials,
    column_units,
    num_maps,
    stride_b,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    FOLD: tl.constexpr,
    ACC: tl.constexpr,
    COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """The parts [B, FOLD * K] of maps; a part's cell is FOLD cells of the map wide."""
    sample, columns, is_column = group_of_program(column_units, _UNITS, COLUMNS)
    start = logits + sample * stride_b
    scale = tl.cast(beta * LOG2_E, ACC)
    offset = (columns // num_maps).to(ACC) + 0.5
    if ROWS % (WIDTH // FOLD) == 0:
        peak, total, total_x, total_y = _whole_lines(
            start, columns, column_units, scale, HEIGHT, WIDTH, FOLD, ACC, COLUMNS, ROWS
        )
    else:
        peak, total, total_x, total_y = strided_expectation(
            start,
            columns,
            is_column,
            1,
            column_units,
            scale,
            HEIGHT * WIDTH // FOLD,
            WIDTH // FOLD,
            ACC,
            COLUMNS,
            ROWS,
            _UNITS,
            tl.int32,
        )
        offset -= FOLD / 2
    index = sample * (column_units * _UNITS) + columns
    total_x = total_x * FOLD + total * offset
    store_part(partials, index, peak, total, total_x, total_y, is_column)


@triton.jit(do_not_specialize=["first_sample"])
def folded_backward_kernel(
    grad_coordinates,
    logits,
    coordinates,
    statistics,
    grad_logits,
    column_units,
    num_maps,
    stride_b,
    grad_stride_b,
    first_sample,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    FOLD: tl.constexpr,
    ACC: tl.constexpr,
    COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
    TILES: tl.constexpr,
):
    """beta p (g_x (c_x - x) + g_y (c_y - y)), in TILES tiles of ROWS rows."""
    NUM_ROWS: tl.constexpr = HEIGHT * WIDTH // FOLD
    LINE: tl.constexpr = WIDTH // FOLD
    sample, columns, is_column = group_of_program(column_units, _UNITS, COLUMNS)
    result = first_sample + sample
    index = result * num_maps + columns % num_maps
    mean_x, mean_y = load_pairs(coordinates, index, is_column, ACC)
    peak, total = load_pairs(statistics, index, is_column, ACC)
    grad_x, grad_y = load_pairs(grad_coordinates, index, is_column, ACC)
    factor = tl.cast(beta, ACC) / total
    grad_x, grad_y = grad_x * factor, grad_y * factor
    offset = ((columns // num_maps).to(ACC) + 0.5) / WIDTH
    constant = grad_x * (offset - mean_x) + grad_y * (0.5 / HEIGHT - mean_y)
    along_x, along_y = grad_x * FOLD / WIDTH, grad_y / HEIGHT
    scale = tl.cast(beta * LOG2_E, ACC)
    source, target = logits + sample * stride_b, grad_logits + result * grad_stride_b
    slots, first = tl.arange(0, ROWS), tl.program_id(1) * TILES
    if ROWS % LINE == 0:
        x, y = (slots % LINE).to(ACC), (slots // LINE).to(ACC)
        at_slot = along_x[None, :] * x[:, None] + (
            along_y[None, :] * y[:, None] + constant[None, :]
        )
    for tile in range(first, first + TILES):
        rows = tile * ROWS + slots
        offsets = rows[:, None] * (column_units * _UNITS) + columns[None, :]
        mask = is_column[None, :]
        if NUM_ROWS % (TILES * ROWS) != 0:
            mask = mask & (rows < NUM_ROWS)[:, None]
        z = tl.load(source + offsets, mask=mask).to(ACC)
        e = exponentials(z, peak[None, :], scale)
        if ROWS % LINE == 0:
            slope = at_slot + (along_y * (ROWS // LINE))[None, :] * tile
        else:
            x, y = (rows % LINE).to(ACC), (rows // LINE).to(ACC)
            slope = along_x[None, :] * x[:, None] + (
                along_y[None, :] * y[:, None] + constant[None, :]
            )
        tl.store(target + offsets, e * slope, mask=mask)


def folded_forward_plan(rows: Tensor, partials: Tensor, size: tuple[int, int], fold: int) -> Plan:
    """For maps [B, K, P] of `size` (H, W) and their parts [B * fold, K, 4]."""
    batch, num_maps, _ = rows.shape
    tiles = _read_tiles(rows)
    return Plan(
        folded_kernel,
        (batch * quotient_up(fold * num_maps, tiles.columns),),
        (fold * num_maps // _UNIT, num_maps, strides(rows)[0]),
        _constants(tiles, partials, size, fold) | {"num_warps": _READ_WARPS},
    )


def folded_backward_plan(
    grad_coordinates: Tensor,
    rows: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    grad_rows: Tensor,
    size: tuple[int, int],
    fold: int,
    first_sample: int,
) -> Plan:
    """For the gradient of maps [B, K, P]; the results begin with other samples."""
    batch, num_maps, num_pixels = rows.shape
    tiles = _WRITE_TILES
    return Plan(
        folded_backward_kernel,
        (
            batch * quotient_up(fold * num_maps, tiles.columns),
            quotient_up(num_pixels // fold, tiles.rows * tiles.count),
        ),
        (
            fold * num_maps // _UNIT,
            num_maps,
            strides(rows)[0],
            strides(grad_rows)[0],
            first_sample,
        ),
        _constants(tiles, coordinates, size, fold) | {"TILES": tiles.count, "num_warps": 4},
    )


def _constants(tiles: _Tiles, results: Tensor, size: tuple[int, int], fold: int) -> dict[str, Any]:
    return {
        "HEIGHT": size[0],
        "WIDTH": size[1],
        "FOLD": fold,
        "ACC": TRITON_DTYPE[results.dtype],
        "COLUMNS": tiles.columns,
        "ROWS": tiles.rows,
    }
