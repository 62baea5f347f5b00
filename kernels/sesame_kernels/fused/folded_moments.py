"""Second moments of dense channels-last maps, read like those of `folded_soft_argmax`.

A part of a map, every fold-th pixel, is a map of its own to the kernel of strided maps. The moments
of the parts are merged as those of a mixture: its covariance is the mean of the parts' and the
covariance of their means, its entropy the mean of the parts' and the entropy of their weights.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, quotient_up
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import LOG2_E, exponentials, largest_probability, safe_shift
from sesame_kernels.fused.strided_soft_argmax import (
    StridedTiles,
    strided_backward_plan,
    strided_forward_plan,
)
from sesame_kernels.fused.tiles import load_pairs, store_pairs

__all__ = ["launch_folded_moments", "launch_folded_moments_backward"]

_ROWS = 128


def _parts_of(rows: Tensor, fold: int) -> Tensor:
    """The parts [B, fold * K, P / fold] of maps [B, K, P]."""
    batch, num_maps, num_pixels = rows.shape
    columns = fold * num_maps
    return rows.as_strided((batch, columns, num_pixels // fold), (rows.stride(0), 1, columns))


@triton.jit
def _weight_of_part(statistics, index, valid, shift, scale, ACC: tl.constexpr):
    """The part's sum of exponentials, relative to the peak of the map."""
    peak, total = load_pairs(statistics, index, valid, ACC)
    return total * exponentials(peak, shift, scale)


@triton.jit
def _weighted(weight, value):
    """Their product; 0 for a part without weight, whose values may be NaN."""
    return tl.where(weight == 0.0, 0.0, weight * value)


@triton.jit(do_not_specialize=["num_rows"])
def merge_moments_kernel(
    part_coordinates,
    part_moments,
    part_statistics,
    coordinates,
    moments,
    statistics,
    num_rows,
    num_maps,
    num_parts,
    width,
    beta: tl.float64,
    ACC: tl.constexpr,
    ROWS: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    """ROWS (sample, landmark) pairs per program; the parts in order.

    A cell of a part is as wide as `num_parts` cells of the map, and its first pixel is that of the
    number of the part.
    """
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = rows < num_rows
    scale = tl.cast(beta * LOG2_E, ACC)
    first = rows // num_maps * num_parts * num_maps + rows % num_maps
    peak = tl.full([ROWS], float("-inf"), ACC)
    for part in range(num_parts):
        index = first + part * num_maps
        peak = tl.maximum(peak, tl.load(part_statistics + 2 * index, mask=valid, other=0.0))
    shift = safe_shift(peak)
    total = tl.zeros([ROWS], ACC)
    total_x = tl.zeros([ROWS], ACC)
    total_y = tl.zeros([ROWS], ACC)
    for part in range(num_parts):
        index = first + part * num_maps
        weight = _weight_of_part(part_statistics, index, valid, shift, scale, ACC)
        x, y = load_pairs(part_coordinates, index, valid, ACC)
        offset = (part - (num_parts - 1) * 0.5) / width
        total += weight
        total_x += _weighted(weight, x + offset)
        total_y += _weighted(weight, y)
    mean_x, mean_y = total_x / total, total_y / total
    xx = tl.zeros([ROWS], ACC)
    yy = tl.zeros([ROWS], ACC)
    xy = tl.zeros([ROWS], ACC)
    entropy = tl.zeros([ROWS], ACC)
    for part in range(num_parts):
        index = first + part * num_maps
        weight = _weight_of_part(part_statistics, index, valid, shift, scale, ACC) / total
        x, y = load_pairs(part_coordinates, index, valid, ACC)
        away_x = x + (part - (num_parts - 1) * 0.5) / width - mean_x
        away_y = y - mean_y
        saved = part_moments + MOMENTS * index
        xx += _weighted(weight, tl.load(saved, mask=valid, other=0.0) + away_x * away_x)
        yy += _weighted(weight, tl.load(saved + 1, mask=valid, other=0.0) + away_y * away_y)
        xy += _weighted(weight, tl.load(saved + 2, mask=valid, other=0.0) + away_x * away_y)
        if MOMENTS == 5:
            surprise = -0.6931471805599453 * tl.log2(weight)
            entropy += _weighted(weight, tl.load(saved + 3, mask=valid, other=0.0) + surprise)
    store_pairs(coordinates, rows, mean_x, mean_y, valid)
    store_pairs(statistics, rows, peak, total, valid)
    result = moments + MOMENTS * rows
    tl.store(result, xx, mask=valid)
    tl.store(result + 1, yy, mask=valid)
    tl.store(result + 2, xy, mask=valid)
    if MOMENTS == 5:
        tl.store(result + 3, entropy, mask=valid)
        tl.store(result + 4, largest_probability(total), mask=valid)


def launch_folded_moments(
    rows: Tensor,
    results: tuple[Tensor, Tensor, Tensor],
    beta: float,
    size: tuple[int, int],
    fold: int,
) -> None:
    """For maps [B, K, P] of `size` (H, W): their coordinates, moments and statistics."""
    parts = _parts_of(rows, fold)
    of_parts = [each.new_empty((*parts.shape[:2], each.shape[2])) for each in results]
    launch(_parts_plan, (parts, *of_parts), (beta,), (size[0], size[1] // fold))
    launch(_merge_plan, (*of_parts, *results), (beta,), fold, size[1])


def _parts_plan(
    parts: Tensor, coordinates: Tensor, moments: Tensor, _statistics: Tensor, size: tuple[int, int]
) -> Plan:
    pixels = 32 // parts.element_size()  # 16 bytes for each thread
    tiles = StridedTiles(maps=16, pixels=pixels, unit=8, warps=1, offset=tl.int32)
    return strided_forward_plan(parts, coordinates, moments, size, 0, tiles)


def _merge_plan(*arguments: Any) -> Plan:
    """Of the kernel's tensors, the number of parts of a map, and the width of the maps."""
    coordinates, moments, _, parts, width = arguments[-5:]
    batch, num_maps, _ = coordinates.shape
    num_rows = batch * num_maps
    constants = {
        "ACC": TRITON_DTYPE[coordinates.dtype],
        "ROWS": _ROWS,
        "MOMENTS": moments.shape[2],
        "num_warps": 4,
    }
    grid = (quotient_up(num_rows, _ROWS),)
    return Plan(merge_moments_kernel, grid, (num_rows, num_maps, parts, width), constants)


def launch_folded_moments_backward(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor],
    beta: float,
    size: tuple[int, int],
    fold: int,
) -> None:
    """For the tensors of `soft_argmax`'s backward kernel."""
    *upstream, rows, coordinates, moments, statistics, grad_rows = tensors
    parts, grad_parts = _parts_of(rows, fold), _parts_of(grad_rows, fold)
    tensors_of_parts = (*upstream, parts, coordinates, moments, statistics, grad_parts)
    launch(_backward_plan, tensors_of_parts, (beta,), size)


def _backward_plan(*arguments: Any) -> Plan:
    _, _, parts, coordinates, moments, _, grad_parts, size = arguments
    return strided_backward_plan(parts, grad_parts, coordinates, moments, size, 0)
