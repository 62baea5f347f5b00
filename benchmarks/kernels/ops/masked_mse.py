"""The reconstruction loss of pretraining."""

from collections.abc import Iterator

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
    dtypes = [torch.float32] if device.type == "cpu" else [torch.float32, torch.bfloat16]
    for size in [(64, 3, 64, 64), (64, 3, 256, 256)]:
        for dtype in dtypes:
            prediction = torch.rand(size, device=device).to(dtype)
            target, mask = torch.rand(size, device=device), torch.rand_like(prediction[:, :1])
            moved = prediction.nbytes + target.nbytes + mask.nbytes
            yield Case(
                "masked_mse",
                "x".join(map(str, size)),
                (prediction, target, mask),
                {"ours": masked_mse, "eager": eager} | compiled(eager, device),
                forward_bytes=moved,
                backward_bytes=moved + prediction.nbytes,
                equal=("eager",),
            )
