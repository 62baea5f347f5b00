"""Soft-argmax, its L1 loss and the loss's gradient in plain PyTorch."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient, empty_unit_gradient
from sesame_kernels.reference.pieces import pieces
from sesame_kernels.reference.soft_argmax import axes_from, expectation, probability_of

__all__ = ["soft_argmax_l1", "soft_argmax_l1_backward", "soft_argmax_l1_rescale_"]


def soft_argmax_l1(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, coordinates [B, K, 2], the logits' gradient for an upstream gradient of 1)."""
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((*logits.shape[:2], 2), dtype=dtype)
    gradient = empty_unit_gradient(logits) if with_gradient else logits.new_empty(0)
    target = target.to(dtype)
    factor = torch.ones_like(coordinates) if weight is None else weight.to(dtype)[:, :, None]
    for rows in pieces(logits):
        probability = probability_of(logits[rows], beta)
        part = coordinates[rows] = expectation(probability)
        if with_gradient:
            error = part - target[rows]
            sign = error.sign().where(error == error, error)
            slope = sign * factor[rows] * (beta / coordinates.numel())
            away_x, away_y = axes_from(part, *logits.shape[2:])
            along_x, along_y = slope[:, :, :1] * away_x, slope[:, :, 1:] * away_y
            torch.mul(probability, along_x[:, :, None] + along_y[:, :, :, None], out=gradient[rows])
    return (factor * (coordinates - target).abs()).mean(), coordinates, gradient


def soft_argmax_l1_backward(grad_loss: Tensor, unit_gradient: Tensor, dtype: torch.dtype) -> Tensor:
    """The unit gradient times the loss's, as a new tensor of `dtype`."""
    return empty_gradient(unit_gradient, dtype).copy_(unit_gradient * grad_loss)


def soft_argmax_l1_rescale_(grad_loss: Tensor, unit_gradient: Tensor) -> None:
    """Multiply the unit gradient by the loss's, in place."""
    if grad_loss != 1.0:
        unit_gradient.mul_(grad_loss)
