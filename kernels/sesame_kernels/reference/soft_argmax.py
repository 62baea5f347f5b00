"""Soft-argmax in plain PyTorch: marginal sums of the softmax, and its own backward."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient

__all__ = ["soft_argmax", "soft_argmax_backward"]

_PIECE = 1 << 18
"""Elements of a piece of backward, whose temporaries stay in the cache."""


def _cell_centres(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count


def _probability(logits: Tensor, beta: float) -> Tensor:
    dtype = accumulation_dtype(logits.dtype)
    maps = logits.flatten(2) if beta == 1.0 else logits.flatten(2).to(dtype) * beta
    return maps.softmax(2, dtype=dtype).view(logits.shape)


def soft_argmax(logits: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], zeros [B, K, 2]).

    The kernels keep statistics of the softmax in the second result. PyTorch's fused softmax does
    not tell them and is quicker to repeat in backward than they would be to find.
    """
    probability = _probability(logits, beta)
    x = (probability.sum(2) * _cell_centres(logits.shape[3], probability)).sum(2)
    y = (probability.sum(3) * _cell_centres(logits.shape[2], probability)).sum(2)
    coordinates = torch.stack((x, y), 2)
    return coordinates, torch.zeros_like(coordinates)


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    away_x = _cell_centres(logits.shape[3], coordinates) - coordinates[:, :, 0, None]
    away_y = _cell_centres(logits.shape[2], coordinates) - coordinates[:, :, 1, None]
    along_x = (grad_coordinates[:, :, 0, None] * beta * away_x)[:, :, None, :]
    along_y = (grad_coordinates[:, :, 1, None] * beta * away_y)[:, :, :, None]
    result = empty_gradient(logits)
    samples = max(1, _PIECE // max(1, logits[:1].numel()))
    for first in range(0, len(logits), samples):
        rows = slice(first, first + samples)
        slope = along_x[rows] + along_y[rows]
        result[rows] = _probability(logits[rows], beta).mul_(slope)
    return result
