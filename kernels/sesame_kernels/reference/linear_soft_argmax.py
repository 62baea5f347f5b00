"""A 1x1 convolution and its soft-argmax in plain PyTorch, a sample's heat-maps at a time.

Products are asked for as convolutions: on CPUs oneDNN's are up to twice as fast as BLAS's.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from sesame_kernels.layout import accumulation_dtype, empty_gradient
from sesame_kernels.reference.pieces import pieces
from sesame_kernels.reference.soft_argmax import axes_from, expectation, probability_of

__all__ = ["linear_soft_argmax", "linear_soft_argmax_backward"]


def _probability(features: Tensor, weight: Tensor, beta: float) -> Tensor:
    """The softmax [S, K, H, W] of the features of S samples under weight [K, C]."""
    logits = F.conv2d(features, weight[:, :, None, None])
    return probability_of(logits.contiguous(), beta)


def _is_channels_last(features: Tensor) -> bool:
    channels_last = features.is_contiguous(memory_format=torch.channels_last)
    return channels_last and not features.is_contiguous()


def _features_gradient(grad_logits: Tensor, weight: Tensor, channels_last: bool) -> Tensor:
    """weight.T @ grad_logits, [S, C, H, W], in the memory format of the features."""
    if channels_last:
        pixels = torch.matmul(grad_logits.flatten(2).transpose(1, 2), weight)
        return pixels.view(len(pixels), *grad_logits.shape[2:], -1).permute(0, 3, 1, 2)
    return F.conv2d(grad_logits, weight.t().contiguous()[:, :, None, None])


def _weight_gradient(grad_logits: Tensor, features: Tensor, channels_last: bool) -> Tensor:
    """grad_logits @ features.T of one sample, [K, P] and [C, P] -> [K, C]."""
    if channels_last:
        return grad_logits @ features.t()
    pixels = grad_logits.view(1, len(grad_logits), 1, -1).permute(0, 3, 1, 2)
    return F.conv2d(pixels, features[:, :, None, None])[0, :, :, 0].t()


def linear_soft_argmax(features: Tensor, weight: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], zeros [B, K, 2]): backward repeats the softmax, kernels keep sums."""
    dtype = accumulation_dtype(features.dtype)
    coordinates = features.new_zeros((len(features), len(weight), 2), dtype=dtype)
    weight = weight.to(dtype)
    if coordinates.numel() == 0:
        return coordinates, torch.zeros_like(coordinates)
    for rows in pieces(features, len(weight)):
        coordinates[rows] = expectation(_probability(features[rows].to(dtype), weight, beta))
    return coordinates, torch.zeros_like(coordinates)


def linear_soft_argmax_backward(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """The gradients of features (in their memory format) and weight, each in its dtype."""
    height, width = features.shape[2:]
    grad_features, factors = empty_gradient(features), weight.to(coordinates.dtype)
    grad_weight = torch.zeros_like(factors)
    if coordinates.numel() == 0:
        return grad_features.zero_(), grad_weight.to(weight.dtype)
    away_x, away_y = axes_from(coordinates, height, width)
    along_x = grad_coordinates[:, :, 0, None] * beta * away_x
    along_y = grad_coordinates[:, :, 1, None] * beta * away_y
    for rows in pieces(features, len(weight)):
        part = features[rows].to(factors.dtype)
        channels_last = _is_channels_last(part)
        grad_logits = _probability(part, factors, beta)
        grad_logits.mul_(along_x[rows, :, None, :] + along_y[rows, :, :, None])
        grad_features[rows] = _features_gradient(grad_logits, factors, channels_last)
        for grad, sample in zip(grad_logits.flatten(2), part.flatten(2), strict=True):
            grad_weight += _weight_gradient(grad, sample, channels_last)
    return grad_features, grad_weight.to(weight.dtype)
