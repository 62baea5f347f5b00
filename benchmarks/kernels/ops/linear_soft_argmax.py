"""The last 1x1 convolution and its soft-argmax."""

from collections.abc import Iterator

import torch
from sesame_kernels import linear_soft_argmax, soft_argmax
from torch import Tensor
from torch.nn import functional as F

from benchmarks.kernels.case import Case
from benchmarks.kernels.ops.soft_argmax import eager as eager_soft_argmax
from benchmarks.kernels.peers import compiled, grid

__all__ = ["cases"]


def convolution(features: Tensor, weight: Tensor) -> Tensor:
    return soft_argmax(F.conv2d(features, weight))


def eager(features: Tensor, weight: Tensor) -> Tensor:
    return eager_soft_argmax(F.conv2d(features, weight))


def attention(features: Tensor, weight: Tensor) -> Tensor:
    """Rows of the weight as queries, pixels as keys, cell centres (padded to 8) as values."""
    batch, _, height, width = features.shape
    centres = grid(height, width, features.device, features.dtype)
    values = F.pad(centres, (0, 6)).expand(batch, 1, -1, -1)
    keys = features.flatten(2).transpose(1, 2)[:, None]
    queries = weight.flatten(1).expand(batch, 1, -1, -1)
    return F.scaled_dot_product_attention(queries, keys, values, scale=1.0)[:, 0, :, :2]


def cases(device: torch.device) -> Iterator[Case]:
    on_cpu = device.type == "cpu"
    batch, channels, maps, side = 16 if on_cpu else 64, 256, 98, 64
    for dtype in [torch.float32] if on_cpu else [torch.float32, torch.bfloat16]:
        for memory_format in (torch.contiguous_format, torch.channels_last):
            features = torch.randn(batch, channels, side, side, device=device).to(dtype)
            features = features.contiguous(memory_format=memory_format)
            weight = (torch.randn(maps, channels, 1, 1, device=device) / 16).to(dtype)
            layout = " nhwc" if memory_format == torch.channels_last else ""
            providers = {
                "ours": linear_soft_argmax,
                "conv + our soft_argmax": convolution,
                "eager": eager,
            }
            if not layout:  # PyTorch 2.11's attention refuses channels-last bfloat16 on an H200
                providers["attention"] = attention
            yield Case(
                "linear_soft_argmax",
                f"{batch}x{channels}x{side}x{side}->{maps}{layout}",
                (features, weight),
                providers | compiled(eager, device),
                forward_bytes=features.nbytes,
                backward_bytes=2 * features.nbytes,
                trained=2,
                equal=tuple(providers),
                tolerance=1e-4 if dtype == torch.float32 else 1e-2,
            )
