"""Mean and marginals of each map's softmax, as the heat-map loss takes them."""

from collections.abc import Iterator

import torch
from sesame_kernels import soft_argmax_marginals
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.maps import Size, timed_maps
from benchmarks.kernels.peers import compiled

__all__ = ["cases", "eager", "ours"]


def ours(logits: Tensor) -> Tensor:
    """[B, K, 2 + W + H]: the results side by side."""
    return torch.cat(soft_argmax_marginals(logits), 2)


def eager(logits: Tensor) -> Tensor:
    height, width = logits.shape[2:]
    probability = logits.float().flatten(2).softmax(2).unflatten(2, (height, width))
    along_x, along_y = probability.sum(2), probability.sum(3)
    means = [
        along @ ((torch.arange(size, device=logits.device) + 0.5) / size)
        for along, size in ((along_x, width), (along_y, height))
    ]
    return torch.cat((torch.stack(means, 2), along_x, along_y), 2)


def cases(device: torch.device) -> Iterator[Case]:
    sizes: list[Size] = [(32, 68, 32, 32)]
    if device.type != "cpu":
        sizes.append((64, 98, 64, 64))
    for shape, logits in timed_maps(device, sizes, layouts_on_cpu=True):
        yield Case(
            "soft_argmax_marginals",
            shape,
            (logits,),
            {"ours": ours, "eager": eager} | compiled(eager, device),
            forward_bytes=logits.nbytes,
            backward_bytes=2 * logits.nbytes,
            equal=("eager",),
        )
