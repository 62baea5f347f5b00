"""Soft-argmax and its L1 loss. Backward alone keeps its graph, so ours cannot reuse its buffer."""

from collections.abc import Iterator
from itertools import product

import torch
from sesame_kernels import soft_argmax, soft_argmax_loss
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.ops.soft_argmax import eager as eager_soft_argmax
from benchmarks.kernels.peers import compiled

__all__ = ["cases"]


def ours(logits: Tensor, target: Tensor) -> Tensor:
    return soft_argmax_loss(logits, target)[0]


def composed(logits: Tensor, target: Tensor) -> Tensor:
    return (soft_argmax(logits) - target).abs().mean()


def eager(logits: Tensor, target: Tensor) -> Tensor:
    return (eager_soft_argmax(logits) - target).abs().mean()


def cases(device: torch.device) -> Iterator[Case]:
    on_cpu = device.type == "cpu"
    size = (16 if on_cpu else 256, 98, 64, 64)
    formats = (
        [torch.contiguous_format] if on_cpu else [torch.contiguous_format, torch.channels_last]
    )
    dtypes = [torch.float32] if on_cpu else [torch.float32, torch.bfloat16]
    for memory_format, dtype in product(formats, dtypes):
        layout = " nhwc" if memory_format == torch.channels_last else ""
        logits = torch.randn(size, device=device).to(dtype)
        logits = logits.contiguous(memory_format=memory_format)
        providers = {"ours": ours, "our soft_argmax + L1": composed, "eager": eager}
        yield Case(
            "soft_argmax_loss",
            "x".join(map(str, size)) + layout,
            (logits, torch.rand(*size[:2], 2, device=device)),
            providers | compiled(eager, device),
            forward_bytes=logits.nbytes,
            backward_bytes=2 * logits.nbytes,
            equal=tuple(providers),
        )
