"""Soft-argmax, its L1 loss and the loss's gradient in plain PyTorch."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient, empty_unit_gradient
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.memory import on_large_pages
from sesame_kernels.reference.soft_argmax import CHUNK, fill_softmax, softmax_gradient_

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
    gradient = on_large_pages(empty_unit_gradient(logits) if with_gradient else logits.new_empty(0))
    target = target.to(dtype)
    factor = torch.ones_like(coordinates) if weight is None else weight.to(dtype)[:, :, None]
    unit = factor * (beta / max(1, coordinates.numel()))
    for rows in chunks(logits, CHUNK):
        in_place = gradient.dtype == dtype and with_gradient
        probability = gradient[rows] if in_place else empty_gradient(logits[rows], dtype)
        fill_softmax(logits[rows], beta, probability, coordinates[rows])
        if with_gradient:
            slope = _sign(coordinates[rows] - target[rows]).mul_(unit[rows])
            softmax_gradient_(probability, slope, coordinates[rows], gradient[rows])
    return (factor * (coordinates - target).abs()).mean(), coordinates, gradient


def _sign(error: Tensor) -> Tensor:
    """-1, 0 or 1; NaN of NaN, where torch.sign has 0."""
    return error.sign().where(error == error, error)


def soft_argmax_l1_backward(grad_loss: Tensor, unit_gradient: Tensor, dtype: torch.dtype) -> Tensor:
    """The unit gradient times the loss's, as a new tensor of `dtype`."""
    result = on_large_pages(empty_gradient(unit_gradient, dtype))
    return torch.mul(unit_gradient, grad_loss, out=result)


def soft_argmax_l1_rescale_(grad_loss: Tensor, unit_gradient: Tensor) -> None:
    """Multiply the unit gradient by the loss's, in place."""
    if grad_loss != 1.0:
        unit_gradient.mul_(grad_loss)
