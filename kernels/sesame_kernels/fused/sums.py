"""The second stage of a sum over programs: one fixed order, no atomics."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE
from sesame_kernels.fused.plans import Plan, planned

__all__ = ["Mean", "mean"]


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
    return planned(_plan, (partials,))(partials, count)


class Mean:
    """`mean` of a fixed number of partials of one dtype."""

    def __init__(self, partials: int, dtype: torch.dtype) -> None:
        constants = {"ACC": TRITON_DTYPE[dtype], "SIZE": 1024}
        self._plan = Plan(mean_kernel, (1,), (partials,), constants)

    def __call__(self, partials: Tensor, count: int) -> Tensor:
        result = partials.new_empty(())
        self._plan.launch((partials, result), (count,))
        return result


def _plan(partials: Tensor) -> Mean:
    return Mean(partials.numel(), partials.dtype)
