"""Soft-argmax and its L1 loss. Backward alone keeps its graph, so ours cannot reuse its buffer."""

from collections.abc import Iterator

import torch
from sesame_kernels import soft_argmax, soft_argmax_loss
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.maps import timed_maps
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
    batch = 16 if device.type == "cpu" else 256
    for shape, logits in timed_maps(device, [(batch, 98, 64, 64)]):
        providers = {"ours": ours, "our soft_argmax + L1": composed, "eager": eager}
        yield Case(
            "soft_argmax_loss",
            shape,
            (logits, torch.rand(*logits.shape[:2], 2, device=device)),
            providers | compiled(eager, device),
            forward_bytes=logits.nbytes,
            backward_bytes=2 * logits.nbytes,
            equal=tuple(providers),
        )
