"""Soft-argmax of a map per landmark."""

from collections.abc import Iterator

import torch
from sesame_kernels import soft_argmax
from torch import Tensor

from benchmarks.kernels.case import Case, Provider
from benchmarks.kernels.maps import timed_maps
from benchmarks.kernels.peers import compiled, copy_alone, grid, soft_argmax_peers, softmax_alone

__all__ = ["cases", "eager"]


def eager(logits: Tensor) -> Tensor:
    """Products of the softmax with coordinate grids, as most code has it."""
    probability = logits.float().flatten(2).softmax(2)
    height, width = logits.shape[2:]
    centres = grid(height, width, logits.device, torch.float32)
    return torch.stack([(probability * axis).sum(2) for axis in centres.unbind(1)], 2)


def matmul(logits: Tensor) -> Tensor:
    """One product of the softmax with the grid's two columns."""
    probability = logits.float().flatten(2).softmax(2)
    height, width = logits.shape[2:]
    return probability @ grid(height, width, logits.device, torch.float32)


def cases(device: torch.device) -> Iterator[Case]:
    batch = 16 if device.type == "cpu" else 256
    for shape, logits in timed_maps(device, [(32, 68, 24, 24), (batch, 98, 64, 64)]):
        peers = soft_argmax_peers()
        providers: dict[str, Provider] = {"ours": soft_argmax, "eager": eager, "matmul": matmul}
        floors = {"copy alone": copy_alone, "softmax alone": softmax_alone}
        yield Case(
            "soft_argmax",
            shape,
            (logits,),
            providers | compiled(eager, device) | peers | floors,
            forward_bytes=logits.nbytes,
            backward_bytes=2 * logits.nbytes,
            equal=("eager", "matmul", *(peers if logits.dtype == torch.float32 else ())),
        )
