"""Mean, covariance and entropy of each map's softmax, from one pass."""

from collections.abc import Iterator

import torch
from sesame_kernels import soft_argmax_distribution
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.maps import timed_maps
from benchmarks.kernels.peers import compiled, grid

__all__ = ["cases", "eager", "ours"]


def ours(logits: Tensor) -> Tensor:
    """[B, K, 6]: the fields that have a gradient, side by side."""
    coordinates, moments, entropy, _ = soft_argmax_distribution(logits)
    return torch.cat((coordinates, moments, entropy[..., None]), 2)


def eager(logits: Tensor) -> Tensor:
    probability = logits.float().flatten(2).softmax(2)
    height, width = logits.shape[2:]
    centres = grid(height, width, logits.device, torch.float32)
    mean = probability @ centres
    away = centres - mean[:, :, None]
    x, y = away.unbind(3)
    products = torch.stack((x * x, y * y, x * y), 3)
    moments = (probability[..., None] * products).sum(2)
    return torch.cat((mean, moments, torch.special.entr(probability).sum(2, keepdim=True)), 2)


def cases(device: torch.device) -> Iterator[Case]:
    batch = 8 if device.type == "cpu" else 64
    for shape, logits in timed_maps(device, [(batch, 98, 64, 64)]):
        yield Case(
            "soft_argmax_distribution",
            shape,
            (logits,),
            {"ours": ours, "eager": eager} | compiled(eager, device),
            forward_bytes=logits.nbytes,
            backward_bytes=2 * logits.nbytes,
            equal=("eager",),
        )
