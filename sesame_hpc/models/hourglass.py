"""The stacked hourglass: a stem, stacks with intermediate maps, and their re-injection.

The backbone is independent of the meaning of its maps: `map_channels` is K for landmarks and 3 r^2
for a reconstruction. Weights that depend on it are named `stacks.N.head` or `stacks.N.inject_map`;
`transfer` does not copy them.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from sesame_hpc.config import ModelConfig
from sesame_hpc.models.blocks import BLOCKS, Bottleneck, ConvNormAct, Hourglass
from sesame_hpc.models.pointwise import features_of_maps, maps_of_features, prefers_products

__all__ = ["Stack", "StackedHourglass"]


class Stem(nn.Module):
    """[B, 3, S, S] pixels in [0, 1] -> [B, width, M, M], where S = 4 M or S = 2 M."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        quarter, half = config.width // 4, config.width // 2
        self.pool = config.image_size == 4 * config.map_size
        self.conv = ConvNormAct(3, quarter, 7, stride=2)
        self.block1 = Bottleneck(quarter, half)
        self.block2 = Bottleneck(half, half)
        self.block3 = Bottleneck(half, config.width)

    def forward(self, images: Tensor) -> Tensor:
        x = self.block1(self.conv(2.0 * images - 1.0))
        if self.pool:
            x = F.max_pool2d(x, 2)
        return self.block3(self.block2(x))


class StridedStem(nn.Sequential):
    """3x3 convolutions of stride 2 alone: [B, 3, S, S] pixels in [0, 1] -> [B, width, M, M].

    S is 2 M, 4 M or 8 M; channels double towards `width`, from 24 at least.
    """

    def __init__(self, config: ModelConfig) -> None:
        count = (config.image_size // config.map_size).bit_length() - 1
        channels = [3] + [
            min(config.width, max(24, config.width >> (count - 1 - index)))
            for index in range(count)
        ]
        super().__init__(
            *(ConvNormAct(channels[i], channels[i + 1], 3, stride=2) for i in range(count))
        )

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(2.0 * images - 1.0)


STEMS: dict[str, type[Stem] | type[StridedStem]] = {"paper": Stem, "strided": StridedStem}
"""By the names of `model.stem`."""


class Stack(nn.Module):
    """One hourglass with its map head, and (except the last) re-injection into the next stack."""

    def __init__(self, config: ModelConfig, map_channels: int, last: bool) -> None:
        super().__init__()
        width = config.width
        self.hourglass = Hourglass(config)
        self.post = BLOCKS[config.block](width, width)
        self.features = ConvNormAct(width, width, 1)
        self.head = nn.Conv2d(width, map_channels, 1)
        self.inject_features = None if last else nn.Conv2d(width, width, 1)
        self.inject_map = None if last else nn.Conv2d(map_channels, width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, width, M, M] -> (input of the next stack, maps [B, map_channels, M, M])."""
        features = self.map_features(x)
        maps = self.maps(features)
        if self.inject_features is not None and self.inject_map is not None:
            if prefers_products(self.head, features):
                injected = features_of_maps(self.inject_map, maps)
            else:
                injected = self.inject_map(maps)
            x = x + self.inject_features(features) + injected
        return x, maps

    def maps(self, features: Tensor) -> Tensor:
        """[B, width, M, M] of `map_features` -> maps [B, map_channels, M, M]."""
        if prefers_products(self.head, features):
            return maps_of_features(self.head, features)
        return self.head(features)

    def map_features(self, x: Tensor) -> Tensor:
        """[B, width, M, M] -> the input of the head, [B, width, M, M]."""
        return self.features(self.post(self.hourglass(x)))


class StackedHourglass(nn.Module):
    """Newell's stacked hourglass. [B, 3, S, S] -> one [B, map_channels, M, M] per stack."""

    def __init__(self, config: ModelConfig, map_channels: int) -> None:
        super().__init__()
        self.stem = STEMS[config.stem](config)
        self.stacks = nn.ModuleList(
            Stack(config, map_channels, last=index == config.stacks - 1)
            for index in range(config.stacks)
        )

    @property
    def last_stack(self) -> Stack:
        stack = self.stacks[-1]
        assert isinstance(stack, Stack)
        return stack

    @property
    def last_head(self) -> nn.Conv2d:
        """The head of the last stack."""
        return self.last_stack.head

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, features = self.without_last_head(images)
        return [*maps, self.last_stack.maps(features)]

    def without_last_head(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """(the maps of all stacks but the last, the features of the last one's head)."""
        x = self.stem(images)
        maps = []
        for stack in self.stacks[:-1]:
            x, stack_maps = stack(x)
            maps.append(stack_maps)
        return maps, self.last_stack.map_features(x)
