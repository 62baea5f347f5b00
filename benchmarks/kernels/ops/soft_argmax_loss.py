"""Soft-argmax and its L1 loss, of one stack and of four at a small batch.

Backward alone keeps its graph, so ours cannot reuse its buffer.
"""

from collections.abc import Iterator

import torch
from sesame_kernels import soft_argmax, soft_argmax_loss
from torch import Tensor

from benchmarks.kernels.case import Case, Provider
from benchmarks.kernels.maps import timed_maps
from benchmarks.kernels.ops.soft_argmax import eager as eager_soft_argmax
from benchmarks.kernels.peers import compiled

__all__ = ["cases", "eager", "eager_of_stacks", "ours", "ours_of_stacks"]


def ours(logits: Tensor, target: Tensor) -> Tensor:
    return soft_argmax_loss(logits, target)[0]


def composed(logits: Tensor, target: Tensor) -> Tensor:
    return (soft_argmax(logits) - target).abs().mean()


def eager(logits: Tensor, target: Tensor) -> Tensor:
    return (eager_soft_argmax(logits) - target).abs().mean()


def ours_of_stacks(*inputs: Tensor) -> Tensor:
    """Of the maps of each stack, and then the target."""
    return soft_argmax_loss(inputs[:-1], inputs[-1])[0]


def _one_by_one(loss: Provider) -> Provider:
    def mean(*inputs: Tensor) -> Tensor:
        return torch.stack([loss(maps, inputs[-1]) for maps in inputs[:-1]]).mean()

    return mean


eager_of_stacks = _one_by_one(eager)


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
    yield from _stacks(device)


def _stacks(device: torch.device) -> Iterator[Case]:
    batch, stacks = 4 if device.type == "cpu" else 32, 4
    for shape, logits in timed_maps(device, [(batch, 98, 64, 64)]):
        maps = [logits, *(torch.randn_like(logits) for _ in range(stacks - 1))]
        target = torch.rand(*logits.shape[:2], 2, device=device)
        providers = {
            "ours": ours_of_stacks,
            "ours, a call per stack": _one_by_one(ours),
            "eager": eager_of_stacks,
        }
        yield Case(
            "soft_argmax_loss",
            f"{stacks} x {shape}",
            (*maps, target),
            providers | compiled(eager_of_stacks, device),
            forward_bytes=stacks * logits.nbytes,
            backward_bytes=2 * stacks * logits.nbytes,
            trained=stacks,
            equal=tuple(providers),
        )
