"""A 1x1 convolution and its soft-argmax in plain PyTorch.

Products are computed as convolutions: on CPUs oneDNN's are up to twice as fast as BLAS's. The
softmax is kept for backward: a third product would cost more than reading it. If one product gives
all logits, they become the softmax in place.
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
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.memory import on_large_pages
from sesame_kernels.reference.soft_argmax import fill_softmax, softmax_gradient_

__all__ = [
    "linear_soft_argmax",
    "linear_soft_argmax_backward",
    "linear_soft_argmax_backward_",
]


def _parts(maps: Tensor) -> list[slice]:
    """The samples of one product: on channels-last tensors oneDNN is fastest with all of them."""
    return [slice(None)] if is_channels_last(maps) else chunks(maps)


def _itself_or_empty(part: Tensor, expected: Tensor) -> Tensor:
    """The part of a result if it is the whole result, else memory for the whole one.

    `expected` is the whole result on the meta device. On CPUs fresh memory costs as much as the
    arithmetic, so it is allocated only when needed.
    """
    is_whole = part.shape == expected.shape and part.stride() == expected.stride()
    if is_whole and part.dtype == expected.dtype:
        return part
    return on_large_pages(torch.empty_like(expected, device=part.device))


def linear_soft_argmax(
    features: Tensor, weight: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], the softmax [B, K, H, W] in the memory format of the features).

    The weight is [K, C] or [K, C, 1, 1], here and below.
    """
    dtype, maps = accumulation_dtype(features.dtype), len(weight)
    coordinates = features.new_empty((len(features), maps, 2), dtype=dtype)
    if coordinates.numel() == 0:
        return coordinates, empty_maps(features, maps, dtype)
    kernel = weight.to(dtype).flatten(1)[:, :, None, None]
    expected = empty_maps(features.to("meta"), maps, dtype)
    probability = None
    for rows in _parts(expected):
        logits = F.conv2d(features[rows].to(dtype), kernel)
        if probability is None:
            probability = _itself_or_empty(logits, expected)
        fill_softmax(logits, beta, probability[rows], coordinates[rows])
    assert probability is not None
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
    return _gradients(
        grad_coordinates * beta, features, weight, coordinates, statistics, in_place=False
    )


def linear_soft_argmax_backward_(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """As `linear_soft_argmax_backward`; the softmax becomes the gradient of the logits in place.

    Not a registered op: only useful when autograd is about to free the softmax.
    """
    with torch.autocast("cpu", enabled=False):
        return _gradients(
            grad_coordinates * beta, features, weight, coordinates, statistics, in_place=True
        )


def _gradients(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    probability: Tensor,
    in_place: bool,
) -> tuple[Tensor, Tensor]:
    if coordinates.numel() == 0:
        return empty_gradient(features).zero_(), torch.zeros_like(weight)
    dtype = coordinates.dtype
    expected = empty_gradient(features.to("meta"))
    grad_features = None
    matrix = weight.to(dtype).flatten(1)
    grad_weight = torch.zeros_like(matrix)[:, :, None, None]
    transposed = matrix.t().contiguous()[:, :, None, None]
    for rows in _parts(probability):
        grad_logits = probability[rows] if in_place else torch.empty_like(probability[rows])
        softmax_gradient_(probability[rows], grad_coordinates[rows], coordinates[rows], grad_logits)
        grad_weight += conv2d_weight(features[rows].to(dtype), grad_weight.shape, grad_logits)
        part = F.conv2d(grad_logits, transposed)
        if grad_features is None:
            grad_features = _itself_or_empty(part, expected)
        if part is not grad_features:
            grad_features[rows] = part
    assert grad_features is not None
    return grad_features, grad_weight.view(weight.shape).to(weight.dtype)
