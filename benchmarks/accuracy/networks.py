"""The networks that users would try instead: a regressing ResNet-18, and parallel resolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["HighResolutionNet", "ResNet18"]


def conv_norm(channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., arXiv:1512.03385)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_norm(channels_in, channels_out, stride)
        self.second = conv_norm(channels_out, channels_out)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else conv_norm(channels_in, channels_out, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class ResNet18(nn.Module):
    """ResNet-18 whose last layer gives coordinates. [B, 3, S, S] in [0, 1] -> [B, K, 2] in [0, 1].

    11.2 M parameters without the last layer.
    """

    def __init__(self, num_landmarks: int) -> None:
        super().__init__()
        widths = (64, 64, 128, 256, 512)
        stages = [
            nn.Sequential(
                BasicBlock(widths[i], widths[i + 1], stride=1 if i == 0 else 2),
                BasicBlock(widths[i + 1], widths[i + 1]),
            )
            for i in range(4)
        ]
        stem = [conv_norm(3, 64, 2, 7), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        self.features = nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(512, 2 * num_landmarks)

    def forward(self, images: Tensor) -> Tensor:
        return 0.5 + self.head(self.features(2 * images - 1)).unflatten(1, (-1, 2))


class Exchange(nn.Module):
    """Every resolution receives the sum of all, brought to its size and width."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.ModuleList(self._path(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    @staticmethod
    def _path(widths: list[int], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source > target:
            up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(conv_norm(widths[source], widths[target], kernel=1), up)
        steps: list[nn.Module] = []
        for level in range(source, target):
            out = widths[target] if level + 1 == target else widths[source]
            steps += [conv_norm(widths[source], out, stride=2), nn.ReLU()]
        return nn.Sequential(*steps[:-1])

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        return [self._sum(paths, xs) for paths in self.paths]

    @staticmethod
    def _sum(paths: nn.Module, xs: list[Tensor]) -> Tensor:
        parts = [path(x) for path, x in zip(paths.children(), xs, strict=True)]
        return F.relu(torch.stack(parts).sum(0))


class HighResolutionNet(nn.Module):
    """Branches of widths 18, 36, 72, 144 that exchange, as HRNet-W18's (arXiv:1908.07919).

    [B, 3, S, S] in [0, 1] -> heat maps [B, K, S / 4, S / 4]. One exchange per number of branches
    and two blocks per branch: the small version of its authors.
    """

    def __init__(self, num_landmarks: int) -> None:
        super().__init__()
        widths = [18, 36, 72, 144]
        self.stem = nn.Sequential(
            conv_norm(3, 64, 2), nn.ReLU(), conv_norm(64, widths[0], 2), nn.ReLU()
        )
        self.begin = nn.ModuleList(
            nn.Sequential(conv_norm(widths[i], widths[i + 1], stride=2), nn.ReLU())
            for i in range(3)
        )
        self.branches = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(BasicBlock(width, width), BasicBlock(width, width))
                for width in widths[:count]
            )
            for count in range(1, 5)
        )
        self.exchanges = nn.ModuleList(Exchange(widths[:count]) for count in range(2, 5))
        self.head = nn.Sequential(
            conv_norm(sum(widths), sum(widths), kernel=1),
            nn.ReLU(),
            nn.Conv2d(sum(widths), num_landmarks, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        xs = [self.stem(2 * images - 1)]
        for stage, blocks in enumerate(self.branches):
            assert isinstance(blocks, nn.ModuleList)
            xs = [block(x) for block, x in zip(blocks, xs, strict=True)]
            if stage:
                xs = self.exchanges[stage - 1](xs)
            if stage < 3:
                xs = [*xs, self.begin[stage](xs[-1])]
        size = xs[0].shape[2:]
        return self.head(torch.cat([F.interpolate(x, size=size) for x in xs], dim=1))
