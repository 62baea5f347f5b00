"""Soft-argmax in plain PyTorch: marginal sums of the softmax, and its own backward."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient
from sesame_kernels.reference.pieces import pieces

__all__ = [
    "axes_from",
    "expectation",
    "probability_of",
    "soft_argmax",
    "soft_argmax_backward",
    "soft_argmax_backward_",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
]


def _cell_centres(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count


def probability_of(logits: Tensor, beta: float) -> Tensor:
    """The softmax [B, K, H, W] of beta * logits, in the dtype of accumulation."""
    dtype = accumulation_dtype(logits.dtype)
    maps = logits.flatten(2) if beta == 1.0 else logits.flatten(2).to(dtype) * beta
    return maps.softmax(2, dtype=dtype).view(logits.shape)


def expectation(probability: Tensor) -> Tensor:
    """[B, K, H, W] -> [B, K, 2]: the mean cell centre, from the marginal sums."""
    x = probability.sum(2) @ _cell_centres(probability.shape[3], probability)
    y = probability.sum(3) @ _cell_centres(probability.shape[2], probability)
    return torch.stack((x, y), 2)


def axes_from(coordinates: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell centres minus (x, y): along x [B, K, W], along y [B, K, H]."""
    away_x = _cell_centres(width, coordinates) - coordinates[:, :, 0, None]
    away_y = _cell_centres(height, coordinates) - coordinates[:, :, 1, None]
    return away_x, away_y


def soft_argmax(logits: Tensor, beta: float, reuse: bool) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], the softmax [B, K, H, W]).

    The kernels keep maximum and sum in the second result. Reading the softmax again is quicker
    here than repeating it.
    """
    probability = probability_of(logits, beta)
    return expectation(probability), probability


def soft_argmax_moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], moments [B, K, 3], the softmax [B, K, H, W])."""
    coordinates, probability = soft_argmax(logits, beta, False)
    away_x, away_y = axes_from(coordinates, *logits.shape[2:])
    var_x = (probability.sum(2) * away_x.square()).sum(2)
    var_y = (probability.sum(3) * away_y.square()).sum(2)
    row_means = torch.matmul(probability, away_x.unsqueeze(3)).squeeze(3)
    moments = torch.stack((var_x, var_y, (row_means * away_y).sum(2)), 2)
    return coordinates, moments, probability


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    return _product(logits, statistics, *_slopes(grad_coordinates, coordinates, statistics, beta))


def soft_argmax_backward_(
    grad_coordinates: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The softmax that forward kept, turned into the gradient of the logits in place.

    Not a registered op: of use only where autograd is about to free the softmax. On CPUs fresh
    memory costs as much as the arithmetic.
    """
    along_x, along_y = _slopes(grad_coordinates, coordinates, statistics, beta)
    for rows in pieces(statistics):
        statistics[rows].mul_(along_x[rows, :, None, :] + along_y[rows, :, :, None])
    return statistics


def _slopes(
    grad_coordinates: Tensor, coordinates: Tensor, probability: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    away_x, away_y = axes_from(coordinates, *probability.shape[2:])
    along_x = grad_coordinates[:, :, 0, None] * beta * away_x
    along_y = grad_coordinates[:, :, 1, None] * beta * away_y
    return along_x, along_y


def soft_argmax_moments_backward(
    grad_coordinates: Tensor,
    grad_moments: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    moments: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    grad, grad_second = grad_coordinates * beta, grad_moments * beta
    away_x, away_y = axes_from(coordinates, *logits.shape[2:])
    along_x = (grad_second[:, :, 0, None] * away_x + grad[:, :, 0, None]) * away_x
    along_y = (grad_second[:, :, 1, None] * away_y + grad[:, :, 1, None]) * away_y
    along_x -= (grad_second * moments).sum(2, keepdim=True)
    return _product(
        logits, statistics, along_x, along_y, (grad_second[:, :, 2, None] * away_y, away_x)
    )


def _product(
    logits: Tensor,
    probability: Tensor,
    along_x: Tensor,
    along_y: Tensor,
    outer: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """probability * (along_x + along_y + the outer product), as a gradient of the logits."""
    result = empty_gradient(logits)
    in_place = result.dtype == probability.dtype
    slope = result if in_place else torch.empty_like(probability)
    torch.add(along_x[:, :, None, :], along_y[:, :, :, None], out=slope)
    if outer is not None:
        slope.addcmul_(outer[0][:, :, :, None], outer[1][:, :, None, :])
    return torch.mul(slope, probability, out=result)
