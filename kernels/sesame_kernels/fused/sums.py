"""The second stage of a sum over programs: one fixed order, no atomics."""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE
from sesame_kernels.fused.plans import Plan, launch

__all__ = ["mean"]


@triton.jit(do_not_specialize=["num_partials", "count"])
def mean_kernel(
    partials, result, num_partials, count: tl.int64, ACC: tl.constexpr, SIZE: tl.constexpr
):
    total = tl.zeros([SIZE], ACC)
    for start in range(0, num_partials, SIZE):
        index = start + tl.arange(0, SIZE)
        total += tl.load(partials + index, mask=index < num_partials, other=0.0)
    tl.store(result, tl.sum(total) / count)


def mean(partials: Tensor, count: int) -> Tensor:
    """The sum of all `partials`, divided by `count`: a scalar of their dtype."""
    result = partials.new_empty(())
    launch(_plan, (partials, result), (count,))
    return result


def _plan(partials: Tensor, result: Tensor) -> Plan:
    constants = {"ACC": TRITON_DTYPE[partials.dtype], "SIZE": 1024}
    return Plan(mean_kernel, (1,), (partials.numel(),), constants)
