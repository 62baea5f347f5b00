"""Masked mean squared error in plain PyTorch, in chunks of samples."""

import torch
from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient
from sesame_kernels.reference.chunks import chunks
from sesame_kernels.reference.difference import twice_difference_times
from sesame_kernels.reference.memory import on_large_pages

__all__ = ["masked_mse", "masked_mse_backward"]


def _weight(mask: Tensor, outside_weight: float, dtype: torch.dtype) -> Tensor:
    return mask.to(dtype) * (1.0 - outside_weight) + outside_weight


def _difference(prediction: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    return prediction.to(dtype) - target.to(dtype)


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float) -> Tensor:
    """Equation 2 as a scalar; NaN for an empty batch, as torch's own mean."""
    dtype = accumulation_dtype(prediction.dtype)
    total = prediction.new_zeros((), dtype=dtype)
    for rows in chunks(prediction):
        squares = _difference(prediction[rows], target[rows], dtype).square_()
        total += squares.mul_(_weight(mask[rows], outside_weight, dtype)).sum()
    return total / prediction.numel()


def masked_mse_backward(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    """The gradient of the prediction, in its dtype and memory format."""
    result = on_large_pages(empty_gradient(prediction))
    factor = _weight(mask, outside_weight, accumulation_dtype(prediction.dtype))
    factor *= grad_loss / max(1, prediction.numel())
    twice_difference_times(prediction, target, factor, result)
    return result
