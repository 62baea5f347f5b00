"""1x1 convolutions as matrix products, between channels-last features and contiguous maps.

Convolutions run fastest on channels-last tensors, and give such; soft-argmax runs fastest on maps
whose pixels are contiguous (docs/kernels/measured.md). The product that makes the maps can write
them so, and the one that takes them can read them so, at no cost, since either factor may be
transposed.
"""

import torch
from torch import Tensor, nn

__all__ = ["features_of_maps", "maps_of_features", "prefers_products"]


def prefers_products(conv: nn.Conv2d, features: Tensor) -> bool:
    """Whether a 1x1 convolution of features is trained on a GPU, in channels-last.

    Elsewhere, on CPUs and in exported models, the layers are used as they are.
    """
    return conv.training and features.is_cuda and features.stride(1) == 1 < features.shape[1]


def maps_of_features(conv: nn.Conv2d, features: Tensor) -> Tensor:
    """[B, C, H, W] -> what `conv`, 1x1, makes of it, [B, K, H, W], contiguous."""
    weight = conv.weight.flatten(1).expand(len(features), -1, -1)
    maps = torch.bmm(weight, features.flatten(2))
    if conv.bias is not None:
        maps = maps.add_(conv.bias.to(maps.dtype)[:, None])
    return maps.unflatten(2, features.shape[2:])


def features_of_maps(conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """[B, K, H, W] -> what `conv`, 1x1, makes of it, [B, C, H, W], channels-last."""
    weight = conv.weight.flatten(1).t().expand(len(maps), -1, -1)
    features = torch.bmm(maps.flatten(2).transpose(1, 2), weight)
    if conv.bias is not None:
        features = features.add_(conv.bias.to(features.dtype))
    return features.transpose(1, 2).unflatten(2, maps.shape[2:])
