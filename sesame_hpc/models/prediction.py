"""The landmark network as it is used, not trained: coordinates and spread in one pass."""

import torch
from torch import Tensor, nn

from sesame_hpc.config import ModelConfig
from sesame_hpc.models.hourglass import StackedHourglass

__all__ = ["PredictionNet", "mean_and_spread"]


class PredictionNet(nn.Module):
    """`LandmarkNet` of the last stack, with the same state dict, in plain PyTorch operations.

    [B, 3, S, S] in [0, 1] -> (points [B, K, 2], spread [B, K]), both fp32, in fractions of the
    crop side. It can be exported: no operation of our own is in it.
    """

    def __init__(self, model: ModelConfig, beta: float, num_landmarks: int) -> None:
        super().__init__()
        self.beta = beta
        self.backbone = StackedHourglass(model, num_landmarks)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return mean_and_spread(self.backbone(images)[-1], self.beta)


def mean_and_spread(maps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Mean (Eq. 1 of the paper) and standard deviation of each map's softmax.

    maps [B, K, H, W] -> points [B, K, 2] (x, y) as `soft_argmax` gives them, and spread [B, K]:
    the root of the expected squared distance from the mean. Fractions of the map's sides; fp32.
    """
    height, width = maps.shape[2:]
    probability = (maps.flatten(2).float() * beta).softmax(2).unflatten(2, (height, width))
    x, across = _moments(probability.sum(2), width)
    y, along = _moments(probability.sum(3), height)
    return torch.stack((x, y), 2), (across + along).sqrt()


def _moments(marginal: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Mean and variance [B, K] of marginals [B, K, cells] over the cells' centres."""
    centres = (torch.arange(cells, dtype=torch.float32, device=marginal.device) + 0.5) / cells
    mean = (marginal * centres).sum(2)
    return mean, (marginal * (centres - mean[:, :, None]).square()).sum(2)
