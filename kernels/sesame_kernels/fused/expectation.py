"""The expectation of a map with contiguous pixels, which one program reads once, tile by tile.

Moments are taken about the mean of each tile, merged as Chan, Golub and LeVeque do ("Updating
formulae and a pairwise algorithm for computing sample variances", 1979), so that a sharp peak far
from the corner does not lose precision.
"""

import triton
import triton.language as tl

from sesame_kernels.fused.runs import (
    cells_of_runs,
    exponentials,
    exponents,
    load_runs,
    nonzero,
    runs_of_tile,
    safe_shift,
    sum_triple,
)

__all__ = ["expectation", "tile_sums"]


@triton.jit
def tile_sums(e, columns, rows, RUN: tl.constexpr, ACC: tl.constexpr):
    """(sum, x, y) of exponentials e [RUNS, RUN], x and y in cells from the first cell's corner."""
    within = (tl.arange(0, RUN).to(ACC) + 0.5)[None, :]
    runs = tl.sum(e, axis=1)
    runs_x = tl.sum(e * within, axis=1) + runs * columns
    return sum_triple(runs, runs_x, runs * (rows + 0.5))


@triton.jit
def central_sums(e, columns, rows, mean_x, mean_y, RUN: tl.constexpr, ACC: tl.constexpr):
    """(xx, yy, xy) of exponentials e [RUNS, RUN] about the mean, in cells."""
    within = (tl.arange(0, RUN).to(ACC) + 0.5)[None, :]
    away_x = (columns - mean_x)[:, None] + within
    away_y = rows + 0.5 - mean_y
    weighted = e * away_x
    runs_xx = tl.sum(weighted * away_x, axis=1)
    runs_xy = tl.sum(weighted, axis=1) * away_y
    return sum_triple(runs_xx, tl.sum(e, axis=1) * away_y * away_y, runs_xy)


@triton.jit
def expectation(
    map_start,
    scale,
    WIDTH: tl.constexpr,
    NUM_RUNS: tl.constexpr,
    ACC: tl.constexpr,
    RUNS: tl.constexpr,
    RUN: tl.constexpr,
    MOMENTS: tl.constexpr,
    ENTROPY: tl.constexpr,
):
    """(peak, sum, x, y, xx, yy, xy, et) of e = 2^t, t = scale (z - peak), for one map, in cells.

    x and y are weighted by e, not yet divided by their sum; xx, yy and xy are taken about the mean,
    and 0 without MOMENTS; et is the sum of e t, and 0 without ENTROPY.
    """
    peak = tl.full([], float("-inf"), ACC)
    total = tl.zeros([], ACC)
    total_x = tl.zeros([], ACC)
    total_y = tl.zeros([], ACC)
    total_xx = tl.zeros([], ACC)
    total_yy = tl.zeros([], ACC)
    total_xy = tl.zeros([], ACC)
    total_t = tl.zeros([], ACC)
    for start in range(0, NUM_RUNS, RUNS):
        runs, offsets = runs_of_tile(start, RUNS, RUN)
        z = load_runs(map_start + offsets, runs, NUM_RUNS, RUNS, ACC)
        columns, rows = cells_of_runs(runs, WIDTH, RUN, ACC)
        new_peak = tl.maximum(peak, tl.max(z))
        shift = safe_shift(new_peak)
        decay = exponentials(peak, shift, scale)
        e = exponentials(z, shift, scale)
        tile, tile_x, tile_y = tile_sums(e, columns, rows, RUN, ACC)
        if MOMENTS:
            mean_x, mean_y = tile_x / nonzero(tile), tile_y / nonzero(tile)
            gap_x = mean_x - total_x / nonzero(total)
            gap_y = mean_y - total_y / nonzero(total)
            joint = total * decay * tile / nonzero(total * decay + tile)
            xx, yy, xy = central_sums(e, columns, rows, mean_x, mean_y, RUN, ACC)
            total_xx = total_xx * decay + xx + joint * gap_x * gap_x
            total_yy = total_yy * decay + yy + joint * gap_y * gap_y
            total_xy = total_xy * decay + xy + joint * gap_x * gap_y
        if ENTROPY:
            total_t = total_t * decay + total * decay * exponents(peak, shift, scale)
            total_t += tl.sum(tl.sum(e * exponents(z, shift, scale), axis=1), axis=0)
        total = total * decay + tile
        total_x = total_x * decay + tile_x
        total_y = total_y * decay + tile_y
        peak = new_peak
    return peak, total, total_x, total_y, total_xx, total_yy, total_xy, total_t
