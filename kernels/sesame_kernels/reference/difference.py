"""A difference and its product in one pass over memory."""

import torch
from torch import Tensor

from sesame_kernels.reference.chunks import chunks

__all__ = ["twice_difference_times"]

_NO_REDUCTION = 0
_CHUNK = 1 << 19
"""Elements that are converted at a time."""


def twice_difference_times(first: Tensor, second: Tensor, factor: Tensor, out: Tensor) -> None:
    """out = 2 (first - second) factor in the dtype of `factor`, then in that of `out`.

    All three are batches that broadcast to `out`, which may be one of them. It is PyTorch's
    derivative of the squared error, its only operation that multiplies by a difference without
    writing the difference to memory.
    """
    if first.dtype == second.dtype == out.dtype == factor.dtype:
        _fill(first, second, factor, out)
        return
    for rows in chunks(out, _CHUNK):
        part = torch.empty_like(out[rows], dtype=factor.dtype)
        _fill(first[rows].to(part.dtype), second[rows].to(part.dtype), factor[rows], part)
        out[rows] = part


def _fill(first: Tensor, second: Tensor, factor: Tensor, out: Tensor) -> None:
    torch.ops.aten.mse_loss_backward.grad_input(
        factor, first, second, _NO_REDUCTION, grad_input=out
    )
