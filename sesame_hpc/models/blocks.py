"""The building blocks of the hourglass: pre-activation bottlenecks and the recursive hourglass."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Bottleneck", "ConvNormAct", "Hourglass"]


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


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU. [B, C_in, H, W] -> [B, C_out, H / stride, W / stride]."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class Hourglass(nn.Module):
    """One hourglass (Fig. 1 of the paper): `levels` max-pools, nearest upsampling, and skips.

    [B, C, H, W] -> [B, C, H, W]; H and W are multiples of 2 ** levels.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.skip = Bottleneck(channels, channels)
        self.down = Bottleneck(channels, channels)
        self.inner: nn.Module = (
            Hourglass(channels, levels - 1) if levels > 1 else Bottleneck(channels, channels)
        )
        self.up = Bottleneck(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return torch.add(self.skip(x), F.interpolate(low, scale_factor=2.0, mode="nearest"))
