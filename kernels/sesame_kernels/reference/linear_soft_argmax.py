"""A 1x1 convolution and its soft-argmax in plain PyTorch, a few samples at a time.

Products are asked for as convolutions: on CPUs oneDNN's are up to twice as fast as BLAS's. The
softmax is kept for backward: a third product would cost more than reading it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    empty_maps,
    is_channels_last,
)
from sesame_kernels.reference.pieces import pieces
from sesame_kernels.reference.soft_argmax import fill_softmax, turn_softmax

__all__ = ["linear_soft_argmax", "linear_soft_argmax_backward"]


def linear_soft_argmax(features: Tensor, weight: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], the softmax [B, K, H, W] in the memory format of the features)."""
    dtype, maps = accumulation_dtype(features.dtype), len(weight)
    probability = empty_maps(features, maps, dtype)
    coordinates = features.new_empty((len(features), maps, 2), dtype=dtype)
    if coordinates.numel() > 0:
        kernel = weight.to(dtype)[:, :, None, None]
        for rows in pieces(probability):
            logits = F.conv2d(features[rows].to(dtype), kernel)
            fill_softmax(logits, beta, probability[rows], coordinates[rows])
    return coordinates, probability


def linear_soft_argmax_backward(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """The gradients of features (in their memory format) and weight, each in its dtype."""
    dtype = coordinates.dtype
    grad_features = empty_gradient(features)
    grad_weight = torch.zeros_like(weight, dtype=dtype)[:, :, None, None]
    if coordinates.numel() == 0:
        return grad_features.zero_(), grad_weight.flatten(1).to(weight.dtype)
    grad_coordinates = grad_coordinates * beta
    transposed = weight.to(dtype).t().contiguous()[:, :, None, None]
    # On channels-last features oneDNN is at its best with the whole batch.
    whole = is_channels_last(features)
    for rows in [slice(None)] if whole else pieces(statistics):
        grad_logits = torch.empty_like(statistics[rows])
        turn_softmax(statistics[rows], grad_coordinates[rows], coordinates[rows], grad_logits)
        grad_weight += conv2d_weight(features[rows].to(dtype), grad_weight.shape, grad_logits)
        part = F.conv2d(grad_logits, transposed)
        if whole:
            channels_last = torch.channels_last
            grad_features = part.to(features.dtype).contiguous(memory_format=channels_last)
        else:
            grad_features[rows] = part
    return grad_features, grad_weight.flatten(1).to(weight.dtype)
