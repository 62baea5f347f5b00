"""The building blocks of the hourglass: pre-activation blocks and the recursive hourglass."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sesame_hpc.config import ModelConfig

__all__ = [
    "BLOCKS",
    "Bottleneck",
    "ConvNormAct",
    "Hourglass",
    "SingleConv",
    "add_interpolated",
    "add_repeated",
]


class Bottleneck(nn.Module):
    """Pre-activation residual bottleneck, 1x1 - 3x3 - 1x1, with half the output channels inside.

    ReLUs overwrite the output of batch norm, which its backward pass does not need.
    [B, C_in, H, W] -> [B, C_out, H, W].
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        middle = channels_out // 2
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, middle, 1)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.norm3 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, channels_out, 1)
        self.project = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        y = self.conv3(F.relu(self.norm3(y), inplace=True))
        return self.project(x) + y


class SingleConv(nn.Module):
    """Pre-activation residual block of one 3x3 convolution. [B, C_in, H, W] -> [B, C_out, H, W].

    All channels meet in one dense convolution, which a CPU computes near its peak; the three of a
    bottleneck need a third of the operations for the same width, but at a lower rate.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.project = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x) + self.conv(F.relu(self.norm(x), inplace=True))


BLOCKS: dict[str, type[Bottleneck] | type[SingleConv]] = {
    "bottleneck": Bottleneck,
    "single": SingleConv,
}
"""By the names of `model.block`."""


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU. [B, C_in, H, W] -> [B, C_out, H / stride, W / stride]."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class Hourglass(nn.Module):
    """One hourglass (Fig. 1 of the paper): max-pools, nearest upsampling, and skips.

    [B, C, H, W] -> [B, C, H, W]; H and W are multiples of 2 ** levels. `level` counts from the
    maps' resolution, 0, down.
    """

    def __init__(self, config: ModelConfig, level: int = 0) -> None:
        super().__init__()
        block = BLOCKS[config.block]
        here, below = config.channels[level : level + 2]
        self.skip = block(here, here)
        self.down = block(here, below)
        self.inner: nn.Module = (
            Hourglass(config, level + 1) if level + 1 < config.levels else block(below, below)
        )
        self.up = block(below, here)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return _add_upsampled(self.skip(x), low)


def _add_upsampled(x: Tensor, low: Tensor) -> Tensor:
    """x [B, C, 2 H, 2 W] plus each pixel of `low` [B, C, H, W] four times, in their dtype.

    Autocast would interpolate in float32 on CUDA, and so make float32 of all that follows. Inductor
    would add the gradients of interpolated pixels by atomics; those of repeated ones it sums.
    """
    if x.device.type == "cuda":
        if torch.compiler.is_compiling():
            return add_repeated(x, low)
        with torch.autocast("cuda", enabled=False):
            return add_interpolated(x, low)
    return add_interpolated(x, low)


def add_interpolated(x: Tensor, low: Tensor) -> Tensor:
    """By the operator that CPUs, and eager CUDA, have for it."""
    return torch.add(x, F.interpolate(low, scale_factor=2.0, mode="nearest"))


def add_repeated(x: Tensor, low: Tensor) -> Tensor:
    """By broadcasting over each pixel's four: the same bits, forward."""
    height, width = low.shape[2:]
    pixels = x.unflatten(3, (width, 2)).unflatten(2, (height, 2))
    return (pixels + low[:, :, :, None, :, None]).flatten(4).flatten(2, 3)
