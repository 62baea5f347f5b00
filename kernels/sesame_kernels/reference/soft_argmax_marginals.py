"""Marginals of each map's softmax in plain PyTorch; the softmax is kept, as by `soft_argmax`."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient, is_channels_last
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.difference import twice_difference_times
from sesame_kernels.reference.memory import on_large_pages
from sesame_kernels.reference.soft_argmax import (
    CHUNK,
    centres_of,
    channels_last_softmax_,
    contiguous_softmax_,
    offsets_from,
)

__all__ = [
    "soft_argmax_marginals",
    "soft_argmax_marginals_backward",
    "soft_argmax_marginals_backward_",
]


def soft_argmax_marginals(
    logits: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], along x [B, K, W], along y [B, K, H], the softmax [B, K, H, W])."""
    dtype = accumulation_dtype(logits.dtype)
    probability = on_large_pages(empty_gradient(logits, dtype))
    batch, num_maps, height, width = logits.shape
    coordinates, along_x, along_y = (
        logits.new_empty((batch, num_maps, size), dtype=dtype) for size in (2, width, height)
    )
    for rows in chunks(logits, CHUNK):
        result = probability[rows]
        if is_channels_last(probability):
            columns, lines, total = channels_last_softmax_(logits[rows], beta, result)
            along_x[rows] = columns.div_(total[:, None]).mT
            along_y[rows] = lines.div_(total[:, None]).mT
        else:
            contiguous_softmax_(logits[rows], beta, result)
            torch.sum(result, 2, out=along_x[rows])
            torch.sum(result, 3, out=along_y[rows])
    for axis, along in enumerate((along_x, along_y)):
        centres = centres_of(along.shape[2], along)
        torch.sum(along * centres, 2, out=coordinates[..., axis])
    return coordinates, along_x, along_y, probability


def _gradient_(
    grad_coordinates: Tensor,
    grad_x: Tensor,
    grad_y: Tensor,
    coordinates: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    probability: Tensor,
    beta: float,
    result: Tensor,
) -> None:
    mean = (grad_x * along_x).sum(2, keepdim=True) + (grad_y * along_y).sum(2, keepdim=True)
    away_x, away_y = offsets_from(coordinates, *probability.shape[2:])
    first = (grad_x - mean).addcmul_(grad_coordinates[:, :, :1], away_x).mul_(beta / 2)
    second = torch.addcmul(grad_y, grad_coordinates[:, :, 1:], away_y).mul_(-beta / 2)
    if is_channels_last(probability):
        first, second = (along.mT.contiguous().mT for along in (first, second))
    twice_difference_times(first[:, :, None, :], second[:, :, :, None], probability, result)


def soft_argmax_marginals_backward(
    grad_coordinates: Tensor,
    grad_x: Tensor,
    grad_y: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    result = on_large_pages(empty_gradient(logits))
    upstream = (grad_coordinates, grad_x, grad_y)
    _gradient_(*upstream, coordinates, along_x, along_y, statistics, beta, result)
    return result


def soft_argmax_marginals_backward_(
    grad_coordinates: Tensor,
    grad_x: Tensor,
    grad_y: Tensor,
    coordinates: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The softmax that forward kept, turned into the gradient in place (see `soft_argmax`)."""
    upstream = (grad_coordinates, grad_x, grad_y)
    _gradient_(*upstream, coordinates, along_x, along_y, statistics, beta, statistics)
    return statistics
