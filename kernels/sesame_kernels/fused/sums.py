"""The second stage of sums over programs: one fixed order, no atomics."""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE

__all__ = ["mean", "sum_of_parts"]

_COLUMNS = 256


@triton.jit
def mean_kernel(partials, result, num_partials, count, ACC: tl.constexpr, SIZE: tl.constexpr):
    total = tl.zeros([SIZE], ACC)
    for start in range(0, num_partials, SIZE):
        index = start + tl.arange(0, SIZE)
        total += tl.load(partials + index, mask=index < num_partials, other=0.0)
    tl.store(result, tl.sum(total) / count)


@triton.jit
def sum_of_parts_kernel(parts, result, num_parts, size, ACC: tl.constexpr, COLUMNS: tl.constexpr):
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    valid = columns < size
    total = tl.zeros([COLUMNS], ACC)
    addresses = parts + columns
    for _part in range(num_parts):
        total += tl.load(addresses, mask=valid, other=0.0)
        addresses += size
    tl.store(result + columns, total, mask=valid)


def mean(partials: Tensor, count: int) -> Tensor:
    """The sum of all `partials`, divided by `count`: a scalar of their dtype."""
    result = partials.new_empty(())
    mean_kernel[(1,)](
        partials, result, partials.numel(), count, ACC=TRITON_DTYPE[partials.dtype], SIZE=1024
    )
    return result


def sum_of_parts(parts: Tensor, result: Tensor) -> None:
    """result [...] = the sum of parts [N, ...] over N, from the first part to the last."""
    sum_of_parts_kernel[(triton.cdiv(result.numel(), _COLUMNS),)](
        parts,
        result,
        parts.shape[0],
        result.numel(),
        ACC=TRITON_DTYPE[parts.dtype],
        COLUMNS=_COLUMNS,
        num_warps=4,
    )
