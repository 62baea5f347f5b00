"""The landmark network for inference: coordinates and spread in one pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sesame_hpc.config import ModelConfig
from sesame_hpc.models.backbones import build_backbone

__all__ = ["PredictionNet", "flip_average", "mean_and_spread"]


class PredictionNet(nn.Module):
    """`LandmarkNet` of the last stack, with the same state dict, in plain PyTorch operations.

    [B, 3, S, S] in [0, 1] -> (points [B, K, 2], spread [B, K]), both fp32, in fractions of the
    crop side. With `mirror`, the permutation of the K landmarks, both are averaged with those of
    the mirrored crop (flip test). It can be exported, since it has no custom operations.
    """

    _mirror: Tensor | None

    def __init__(
        self,
        model: ModelConfig,
        beta: float,
        num_landmarks: int,
        mirror: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.backbone = build_backbone(model, num_landmarks)
        order = None if mirror is None else torch.tensor(mirror)
        self.register_buffer("_mirror", order, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self._mirror is None:
            return mean_and_spread(self.backbone(images)[-1], self.beta)
        both = torch.cat((images, images.flip(-1)))
        points, spread = mean_and_spread(self.backbone(both)[-1], self.beta)
        straight, mirrored = points.unflatten(0, (2, -1)).unbind(0)
        points = flip_average(straight, mirrored, self._mirror)
        straight, mirrored = spread.unflatten(0, (2, -1)).unbind(0)
        return points, (straight + mirrored[:, self._mirror]) / 2


def flip_average(points: Tensor, mirrored: Tensor, mirror: Tensor) -> Tensor:
    """The mean of landmarks found in crops and of those found in the mirrored crops (flip test).

    Both [B, K, 2] in fractions of the crop side; `mirror` int64 [K] is the scheme's permutation.
    """
    found = mirrored[:, mirror]
    return (points + torch.stack((1.0 - found[..., 0], found[..., 1]), -1)) / 2


def mean_and_spread(maps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Mean (Eq. 1 of the paper) and standard deviation of each map's softmax.

    maps [B, K, H, W] -> points [B, K, 2] (x, y) as `soft_argmax` gives them, and spread [B, K]:
    the root of the expected squared distance from the mean. In fractions of the map's sides; fp32,
    or fp64 for fp64 maps.
    """
    height, width = maps.shape[2:]
    exact = torch.promote_types(maps.dtype, torch.float32)
    probability = (maps.flatten(2).to(exact) * beta).softmax(2).unflatten(2, (height, width))
    x, across = _moments(probability.sum(2), width)
    y, along = _moments(probability.sum(3), height)
    return torch.stack((x, y), 2), (across + along).sqrt()


def _moments(marginal: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Mean and variance [B, K] of marginals [B, K, cells] over the cells' centres."""
    places = torch.arange(cells, dtype=marginal.dtype, device=marginal.device)
    centres = (places + 0.5) / cells
    mean = (marginal * centres).sum(2)
    return mean, (marginal * (centres - mean[:, :, None]).square()).sum(2)
