"""What our ops are compared with: compiled eager code, and other libraries where installed."""

import shutil
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
import torch._functorch.config
from torch import Tensor

from benchmarks.kernels.case import COMPILED

__all__ = ["compiled", "copy_alone", "grid", "soft_argmax_peers", "softmax_alone"]

Function = Callable[..., Tensor]


def compiled(function: Function, device: torch.device) -> dict[str, Function]:
    """torch.compile of a function: max-autotune on CUDA; empty without a C++ compiler."""
    # Timing backward alone repeats it on one graph, which donated buffers forbid.
    torch._functorch.config.donated_buffer = False
    if device.type == "cuda":
        return {COMPILED: torch.compile(function, mode="max-autotune-no-cudagraphs", dynamic=False)}
    if shutil.which("c++"):
        return {COMPILED: torch.compile(function, dynamic=False)}
    print("no C++ compiler: torch.compile is left out", file=sys.stderr)
    return {}


def grid(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Centres (x, y) of the cells, as fractions of width and height, [H * W, 2]."""
    x = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
    y = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((columns.flatten(), rows.flatten()), 1)


class _CopyAlone(torch.autograd.Function):
    """The least that has to move: the logits are read once, then copied as the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.logits = logits
        return logits.sum((2, 3))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return ctx.logits.clone()


class _SoftmaxAlone(torch.autograd.Function):
    """PyTorch's softmax, then one product of it in place: no coordinates, no true gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.shape, ctx.softmax = logits.shape, logits.flatten(2).softmax(2)
        return ctx.softmax[:, :, 0].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        ones = grad[:, :, None].expand_as(ctx.softmax)
        return ctx.softmax.mul_(ones).view(ctx.shape)


copy_alone: Function = _CopyAlone.apply
softmax_alone: Function = _SoftmaxAlone.apply


def soft_argmax_peers() -> dict[str, Function]:
    """kornia and dsntnn, where installed, with results in our coordinates."""
    peers: dict[str, Function] = {}
    if (subpix := _module("kornia.geometry.subpix")) is not None:
        spatial_soft_argmax2d = subpix.spatial_soft_argmax2d

        def kornia(logits: Tensor) -> Tensor:
            height, width = logits.shape[2:]
            cells = spatial_soft_argmax2d(logits, normalized_coordinates=False)
            return (cells + 0.5) / cells.new_tensor((width, height))

        peers["kornia"] = kornia
    if (dsntnn := _module("dsntnn")) is not None:
        flat_softmax, dsnt = dsntnn.flat_softmax, dsntnn.dsnt
        peers["dsntnn"] = lambda logits: (dsnt(flat_softmax(logits.contiguous())) + 1) / 2
    return peers


@cache
def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError as error:
        print(f"{name} is left out ({error}); pip install '.[bench]' brings it", file=sys.stderr)
        return None
