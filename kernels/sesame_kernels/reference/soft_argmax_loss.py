"""Soft-argmax, a loss of its coordinates and the loss's gradient in plain PyTorch."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient, empty_unit_gradient
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.memory import on_large_pages
from sesame_kernels.reference.penalties import penalty_slopes, penalty_values
from sesame_kernels.reference.soft_argmax import CHUNK, fill_softmax, softmax_gradient_

__all__ = ["soft_argmax_loss", "soft_argmax_loss_backward", "soft_argmax_loss_rescale_"]


def soft_argmax_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    penalty: str,
    width: float,
    curvature: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, coordinates [B, K, 2], the logits' gradient for an upstream gradient of 1)."""
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((*logits.shape[:2], 2), dtype=dtype)
    gradient = on_large_pages(empty_unit_gradient(logits) if with_gradient else logits.new_empty(0))
    target = target.to(dtype)
    factor = torch.ones_like(coordinates) if weight is None else weight.to(dtype)[:, :, None]
    unit = factor * (beta / max(1, coordinates.numel()))
    for rows in chunks(logits, CHUNK):
        in_place = gradient.dtype == dtype and with_gradient
        probability = gradient[rows] if in_place else empty_gradient(logits[rows], dtype)
        fill_softmax(logits[rows], beta, probability, coordinates[rows])
        if with_gradient:
            errors = coordinates[rows] - target[rows]
            slope = penalty_slopes(errors, penalty, width, curvature).mul_(unit[rows])
            softmax_gradient_(probability, slope, coordinates[rows], gradient[rows])
    costs = penalty_values(coordinates - target, penalty, width, curvature)
    return (factor * costs).mean(), coordinates, gradient


def soft_argmax_loss_backward(
    grad_loss: Tensor, unit_gradient: Tensor, dtype: torch.dtype
) -> Tensor:
    """The unit gradient times the loss's, as a new tensor of `dtype`."""
    result = on_large_pages(empty_gradient(unit_gradient, dtype))
    return torch.mul(unit_gradient, grad_loss, out=result)


def soft_argmax_loss_rescale_(grad_loss: Tensor, unit_gradient: Tensor) -> None:
    """Multiply the unit gradient by the loss's, in place."""
    if grad_loss != 1.0:
        unit_gradient.mul_(grad_loss)
