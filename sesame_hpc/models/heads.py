"""The two networks of SESAME: landmark coordinates, and image reconstruction, on one backbone."""

import torch
from sesame_kernels import linear_soft_argmax, soft_argmax
from torch import Tensor, nn
from torch.nn import functional as F

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.backbones import build_backbone
from sesame_hpc.models.prediction import mean_and_spread

__all__ = ["JointLandmarks", "JointNet", "LandmarkNet", "ReconstructionNet", "cell_centres"]


class LandmarkNet(nn.Module):
    """Preliminary and finetune stages: soft-argmax coordinates (Eq. 1) of every stack.

    [B, 3, S, S] in [0, 1] -> [T, B, K, 2] fp32 (x, y) in [0, 1] of the crop, T stacks. With
    `head.impl` fused the last stack's maps are never computed, and the bias of its head, which
    cancels in the softmax, gets no gradient.

    `maps_for_losses` makes it return, in training mode, the stacks' maps [B, K, M, M] instead, in a
    list, for losses that are fused with the soft-argmax or depend on the maps.
    """

    def __init__(
        self,
        model: ModelConfig,
        head: HeadConfig,
        num_landmarks: int,
        *,
        maps_for_losses: bool = False,
    ) -> None:
        super().__init__()
        self.maps_for_losses = maps_for_losses
        self.beta = head.beta
        self.is_fused = head.impl == "fused"
        self.backbone = build_backbone(model, num_landmarks)

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        if self.maps_for_losses and self.training:
            return self.backbone(images)
        if not self.is_fused:
            return torch.stack([soft_argmax(maps, self.beta) for maps in self.backbone(images)])
        maps, features = self.backbone.without_last_head(images)
        last = linear_soft_argmax(features, self.backbone.last_head.weight, self.beta)
        return torch.stack([*(soft_argmax(each, self.beta) for each in maps), last])

    def with_spread(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """In evaluation mode: the last stack's coordinates [B, K, 2], and spreads [B, K], fp32.

        The coordinates are those of `forward`. A spread is the standard deviation of a map's
        softmax, in fractions of the crop side.
        """
        if not self.is_fused:
            maps = self.backbone(images)[-1]
            return soft_argmax(maps, self.beta), mean_and_spread(maps, self.beta)[1]
        _, features = self.backbone.without_last_head(images)
        head = self.backbone.last_head
        last = linear_soft_argmax(features, head.weight, self.beta)
        return last, mean_and_spread(head(features), self.beta)[1]


def cell_centres(count: int, device: torch.device) -> Tensor:
    """(i + 0.5) / count of `count` cells, float32."""
    return (torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count


class ReconstructionNet(nn.Module):
    """Pretrain stage: the image, reconstructed by every stack from its masked version.

    [B, 3, S, S] in [0, 1] -> T tensors [B, 3, r M, r M], r = head.reconstruction_upscale
    (a PixelShuffle of 3 r^2 map channels).
    """

    def __init__(self, model: ModelConfig, head: HeadConfig) -> None:
        super().__init__()
        self.upscale = head.reconstruction_upscale
        self.backbone = build_backbone(model, 3 * self.upscale**2)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [F.pixel_shuffle(maps, self.upscale) for maps in self.backbone(images)]


class JointNet(nn.Module):
    """Pretrain stage with `landmark_weight`: the reconstruction, and maps of K landmarks beside it.

    [B, 3, S, S] in [0, 1] -> reconstructions as of `ReconstructionNet`, and the maps
    [B, K, M, M] of which soft-argmax is taken; T of each. A head's first K maps are the landmarks'.
    """

    def __init__(self, model: ModelConfig, head: HeadConfig, num_landmarks: int) -> None:
        super().__init__()
        self.upscale, self.beta = head.reconstruction_upscale, head.beta
        self.num_landmarks = num_landmarks
        self.backbone = build_backbone(model, num_landmarks + 3 * self.upscale**2)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        maps, count = self.backbone(images), self.num_landmarks
        reconstructions = [F.pixel_shuffle(each[:, count:], self.upscale) for each in maps]
        return reconstructions, [each[:, :count] for each in maps]


class JointLandmarks(nn.Module):
    """The landmarks of a `JointNet`, whose weights it shares, as `LandmarkNet` returns them."""

    def __init__(self, network: JointNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        _, maps = self.network(images)
        return torch.stack([soft_argmax(each, self.network.beta) for each in maps])
