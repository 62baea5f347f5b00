"""Soft-argmax in plain PyTorch, in chunks of samples, with its own backward.

The softmax is kept, in the memory format of the logits: on CPUs reading it again is faster than
recomputing it.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    flat_pixels,
    is_channels_last,
)
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.difference import twice_difference_times
from sesame_kernels.reference.memory import on_large_pages

__all__ = [
    "CHUNK",
    "centres_of",
    "channels_last_softmax_",
    "contiguous_softmax_",
    "fill_softmax",
    "offsets_from",
    "soft_argmax",
    "soft_argmax_backward",
    "soft_argmax_backward_",
    "soft_argmax_distribution",
    "soft_argmax_distribution_backward",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
    "softmax_gradient_",
]

CHUNK = 1 << 21
"""Logits of a chunk: with fewer, starting the threads would cost more than the cache saves."""


def centres_of(count: int, like: Tensor) -> Tensor:
    return torch.arange(0.5, count, dtype=like.dtype, device=like.device).div_(count)


def fill_softmax(logits: Tensor, beta: float, probability: Tensor, coordinates: Tensor) -> None:
    """Fill the softmax [B, K, H, W] and the coordinates [B, K, 2].

    Both are of the dtype of accumulation, the softmax as `empty_gradient` makes it of the logits,
    or the logits themselves.
    """
    fill = _fill_channels_last if is_channels_last(probability) else _fill_contiguous
    for rows in chunks(logits, CHUNK):
        fill(logits[rows], beta, probability[rows], coordinates[rows])


def contiguous_softmax_(logits: Tensor, beta: float, probability: Tensor) -> Tensor:
    """Fill the softmax; returns it as [B, K, H * W]."""
    maps, result = flat_pixels(logits), flat_pixels(probability)
    scaled = maps if beta == 1.0 else maps.to(result.dtype) * beta
    return torch.softmax(scaled, 2, dtype=result.dtype, out=result)


def _fill_contiguous(logits: Tensor, beta: float, probability: Tensor, coordinates: Tensor) -> None:
    height, width = logits.shape[2:]
    result = contiguous_softmax_(logits, beta, probability)
    centres = _pixel_centres(height, width, result.dtype, result.device)
    torch.mm(result.flatten(0, 1), centres, out=coordinates.flatten(0, 1))


@lru_cache(maxsize=16)
def _pixel_centres(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(x, y) of each pixel, [H * W, 2], read-only.

    In memory all x come before all y: BLAS takes four times as long if they are interleaved.
    """
    like = torch.empty(0, dtype=dtype, device=device)
    x = centres_of(width, like).expand(height, width)
    y = centres_of(height, like)[:, None].expand(height, width)
    return torch.stack((x, y)).flatten(1).t()


def channels_last_softmax_(
    logits: Tensor, beta: float, probability: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill the softmax of channels-last maps, for which PyTorch's own is slow.

    Returns the sums of columns [B, W, K], of rows [B, H, K] and of all [B, K] before they are
    divided by the last. With powers of 2, since torch.exp2 takes a third of the time of torch.exp,
    and on tensors that are contiguous as [S, H, W, K], since reductions of others are slow as well.
    """
    scale = beta * math.log2(math.e)
    logits = logits.permute(0, 2, 3, 1).to(probability.dtype)
    result = probability.permute(0, 2, 3, 1)
    samples, _, width, _ = result.shape
    peak = logits.flatten(2).amax(1).view(samples, width, -1).amax(1)
    torch.add(peak.mul_(-scale)[:, None, None], logits, alpha=scale, out=result).exp2_()
    columns, rows = result.flatten(2).sum(1).view(samples, width, -1), result.sum(2)
    total = columns.sum(1)
    result.div_(total[:, None, None])
    return columns, rows, total


def _fill_channels_last(
    logits: Tensor, beta: float, probability: Tensor, coordinates: Tensor
) -> None:
    columns, rows, total = channels_last_softmax_(logits, beta, probability)
    height, width = logits.shape[2:]
    coordinates[:, :, 0] = (centres_of(width, columns) @ columns).div_(total)
    coordinates[:, :, 1] = (centres_of(height, rows) @ rows).div_(total)


def soft_argmax(logits: Tensor, beta: float, reuse: bool) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], the softmax [B, K, H, W]).

    The kernels return maximum and sum as the second result.
    """
    dtype = accumulation_dtype(logits.dtype)
    probability = on_large_pages(empty_gradient(logits, dtype))
    coordinates = logits.new_empty((*logits.shape[:2], 2), dtype=dtype)
    fill_softmax(logits, beta, probability, coordinates)
    return coordinates, probability


def offsets_from(coordinates: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell centres minus (x, y): along x [B, K, W], along y [B, K, H]."""
    away_x = centres_of(width, coordinates) - coordinates[:, :, :1]
    away_y = centres_of(height, coordinates) - coordinates[:, :, 1:]
    return away_x, away_y


def soft_argmax_moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], moments [B, K, 3], the softmax [B, K, H, W])."""
    coordinates, probability = soft_argmax(logits, beta, False)
    away_x, away_y = offsets_from(coordinates, *logits.shape[2:])
    var_x = (probability.sum(2) * away_x.square()).sum(2)
    var_y = (probability.sum(3) * away_y.square()).sum(2)
    row_means = torch.matmul(probability, away_x.unsqueeze(3)).squeeze(3)
    moments = torch.stack((var_x, var_y, (row_means * away_y).sum(2)), 2)
    return coordinates, moments, probability


def soft_argmax_distribution(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """As `soft_argmax_moments`, with five moments: also entropy and largest probability."""
    coordinates, moments, probability = soft_argmax_moments(logits, beta)
    entropy, peak = torch.empty_like(moments[..., 0]), torch.empty_like(moments[..., 0])
    for rows in chunks(logits):
        entropy[rows] = torch.special.entr(probability[rows]).sum((2, 3))
        peak[rows] = probability[rows].amax((2, 3))
    five = torch.cat((moments, entropy[..., None], peak[..., None]), 2)
    return coordinates, five, probability


def softmax_gradient_(
    probability: Tensor, grad_coordinates: Tensor, coordinates: Tensor, result: Tensor
) -> None:
    """result = the gradient of the logits under beta = 1; it may be the softmax itself."""
    away_x, away_y = offsets_from(coordinates, *probability.shape[2:])
    along_x = away_x.mul_(grad_coordinates[:, :, :1] * 0.5)
    along_y = away_y.mul_(grad_coordinates[:, :, 1:] * -0.5)
    if is_channels_last(probability):
        along_x, along_y = (along.mT.contiguous().mT for along in (along_x, along_y))
    twice_difference_times(along_x[:, :, None, :], along_y[:, :, :, None], probability, result)


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    result = on_large_pages(empty_gradient(logits))
    softmax_gradient_(statistics, grad_coordinates * beta, coordinates, result)
    return result


def soft_argmax_backward_(
    grad_coordinates: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The softmax that forward kept, turned into the gradient of the logits in place.

    Not a registered op: only useful when autograd is about to free the softmax. On CPUs fresh
    memory costs as much as the arithmetic.
    """
    softmax_gradient_(statistics, grad_coordinates * beta, coordinates, statistics)
    return statistics


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
    away_x, away_y = offsets_from(coordinates, *logits.shape[2:])
    along_x = (grad_second[:, :, :1] * away_x + grad[:, :, :1]) * away_x
    along_y = (grad_second[:, :, 1:2] * away_y + grad[:, :, 1:]) * away_y
    along_x -= (grad_second * moments)[:, :, :4].sum(2, keepdim=True)
    along_both = grad_second[:, :, 2:3] * away_y
    with_entropy = moments.shape[2] == 5
    result = on_large_pages(empty_gradient(logits))
    for rows in chunks(logits):
        slope = along_x[rows, :, None, :] + along_y[rows, :, :, None]
        slope.addcmul_(along_both[rows, :, :, None], away_x[rows, :, None, :])
        probability = statistics[rows]
        if with_entropy:
            slope.sub_(
                probability.log().nan_to_num_(neginf=0.0, nan=torch.nan)
                * grad_second[rows, :, 3, None, None]
            )
        torch.mul(probability, slope, out=result[rows])
    return result


soft_argmax_distribution_backward = soft_argmax_moments_backward
