"""Softmax sums of the parts of a map, and the kernel that merges them into its expectation.

A part's numbers are its peak, the sum of e = 2^(scale (z - peak)), and the sums of e x and e y in
cells of the whole map.
"""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, quotient_up
from sesame_kernels.fused.plans import Plan
from sesame_kernels.fused.runs import LOG2_E, exponentials, safe_shift
from sesame_kernels.fused.tiles import store_pairs

__all__ = ["merge_plan", "store_part"]

_ROWS = 128


@triton.jit
def store_part(partials, index, peak, total, total_x, total_y, valid):
    """The numbers at each index of [..., 4]."""
    store_pairs(partials, 2 * index, peak, total, valid)
    store_pairs(partials, 2 * index + 1, total_x, total_y, valid)


@triton.jit(do_not_specialize=["num_rows", "first_row"])
def merge_parts_kernel(
    partials,
    coordinates,
    statistics,
    num_rows,
    num_maps,
    num_parts,
    first_row,
    height,
    width,
    beta: tl.float64,
    ACC: tl.constexpr,
    ROWS: tl.constexpr,
):
    """ROWS (sample, landmark) pairs per program; the parts in order."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = rows < num_rows
    scale = tl.cast(beta * LOG2_E, ACC)
    source = partials + (rows // num_maps * num_parts * num_maps + rows % num_maps) * 4
    peak = tl.full([ROWS], float("-inf"), ACC)
    total = tl.zeros([ROWS], ACC)
    total_x = tl.zeros([ROWS], ACC)
    total_y = tl.zeros([ROWS], ACC)
    for _part in range(num_parts):
        part_peak = tl.load(source, mask=valid, other=0.0)
        new_peak = tl.maximum(peak, part_peak)
        shift = safe_shift(new_peak)
        decay = exponentials(peak, shift, scale)
        share = exponentials(part_peak, shift, scale)
        total = total * decay + tl.load(source + 1, mask=valid, other=1.0) * share
        total_x = total_x * decay + tl.load(source + 2, mask=valid, other=0.0) * share
        total_y = total_y * decay + tl.load(source + 3, mask=valid, other=0.0) * share
        peak = new_peak
        source += num_maps * 4
    rows += first_row
    store_pairs(coordinates, rows, total_x / (total * width), total_y / (total * height), valid)
    store_pairs(statistics, rows, peak, total, valid)


def merge_plan(
    partials: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    parts: int,
    size: tuple[int, int],
    first_sample: int,
) -> Plan:
    """From partials [B * parts, K, 4] to the results of B samples, from `first_sample` on."""
    num_maps = coordinates.shape[1]
    num_rows = len(partials) // parts * num_maps
    constants = {"ACC": TRITON_DTYPE[coordinates.dtype], "ROWS": _ROWS, "num_warps": 4}
    integers = (num_rows, num_maps, parts, first_sample * num_maps, *size)
    return Plan(merge_parts_kernel, (quotient_up(num_rows, _ROWS),), integers, constants)
