"""Soft-argmax, a loss of its coordinates and the loss's gradient in plain PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient, empty_unit_gradient
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.memory import on_large_pages
from sesame_kernels.reference.penalties import penalty_slopes, penalty_values
from sesame_kernels.reference.soft_argmax import CHUNK, fill_softmax, softmax_gradient_

__all__ = ["soft_argmax_loss", "soft_argmax_loss_backward", "soft_argmax_loss_rescale_"]


def soft_argmax_loss(
    logits: Sequence[Tensor],
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    penalty: str,
    width: float,
    curvature: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, coordinates [T * B, K, 2], the logits' gradient for an upstream gradient of 1)."""
    first, stacks = logits[0], len(logits)
    dtype = accumulation_dtype(first.dtype)
    coordinates = first.new_empty((stacks, *first.shape[:2], 2), dtype=dtype)
    gradient = first.new_empty(0)
    if with_gradient:
        gradient = on_large_pages(empty_unit_gradient(first, stacks))
    target = target.to(dtype)
    factor = torch.ones_like(target) if weight is None else weight.to(dtype)[:, :, None]
    unit = factor * (beta / max(1, coordinates.numel()))
    for stack, maps in enumerate(logits):
        results = gradient.unflatten(0, (stacks, len(maps)))[stack] if with_gradient else None
        for rows in chunks(maps, CHUNK):
            if results is not None and results.dtype == dtype:
                probability = results[rows]
            else:
                probability = empty_gradient(maps[rows], dtype)
            found = coordinates[stack, rows]
            fill_softmax(maps[rows], beta, probability, found)
            if results is not None:
                slope = penalty_slopes(found - target[rows], penalty, width, curvature)
                softmax_gradient_(probability, slope.mul_(unit[rows]), found, results[rows])
    costs = penalty_values(coordinates - target, penalty, width, curvature)
    return (factor * costs).mean(), coordinates.flatten(0, 1), gradient


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
