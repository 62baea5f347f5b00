"""The reconstruction loss of pretraining."""

from collections.abc import Iterator
from itertools import product

import torch
from sesame_kernels import masked_mse
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.peers import compiled

__all__ = ["cases"]


def eager(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    squares = (target - prediction.float()) ** 2
    return (mask * squares + 0.01 * (1 - mask) * squares).mean()


def cases(device: torch.device) -> Iterator[Case]:
    """On a GPU also with channels-last images."""
    on_cpu = device.type == "cpu"
    dtypes = [torch.float32] if on_cpu else [torch.float32, torch.bfloat16]
    layouts = {"": torch.contiguous_format}
    if not on_cpu:
        layouts[" nhwc"] = torch.channels_last
    sizes = [(64, 3, 64, 64), (64, 3, 256, 256)]
    for size, (layout, memory_format), dtype in product(sizes, layouts.items(), dtypes):
        prediction = torch.rand(size, device=device).to(dtype, memory_format=memory_format)
        target = torch.rand(size, device=device).to(memory_format=memory_format)
        mask = torch.rand_like(prediction[:, :1])
        moved = prediction.nbytes + target.nbytes + mask.nbytes
        yield Case(
            "masked_mse",
            "x".join(map(str, size)) + layout,
            (prediction, target, mask),
            {"ours": masked_mse, "eager": eager} | compiled(eager, device),
            forward_bytes=moved,
            backward_bytes=moved + prediction.nbytes,
            equal=("eager",),
        )
