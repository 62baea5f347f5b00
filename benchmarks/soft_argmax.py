"""Soft-argmax of a map per landmark."""

from collections.abc import Iterator

import torch
from harness import Case
from sesame_kernels import soft_argmax
from torch import Tensor

__all__ = ["cases"]


def eager(logits: Tensor) -> Tensor:
    height, width = logits.shape[2:]
    probability = logits.float().flatten(2).softmax(2).view(logits.shape)
    x = (torch.arange(width, device=logits.device) + 0.5) / width
    y = (torch.arange(height, device=logits.device) + 0.5) / height
    return torch.stack(((probability.sum(2) * x).sum(2), (probability.sum(3) * y).sum(2)), 2)


def cases(device: torch.device) -> Iterator[Case]:
    sizes = [(32, 68, 24, 24), (16, 98, 64, 64)]
    dtypes = [torch.float32] if device.type == "cpu" else [torch.float32, torch.bfloat16]
    for size in sizes:
        for dtype in dtypes:
            logits = torch.randn(size, device=device).to(dtype)
            moved = logits.nbytes
            shape = "x".join(map(str, size))
            yield Case("soft_argmax", shape, (logits,), soft_argmax, eager, moved, 2 * moved)
