"""Masked mean squared error in plain PyTorch."""

from torch import Tensor

from sesame_kernels.layout import accumulation_dtype, empty_gradient

__all__ = ["masked_mse", "masked_mse_backward"]


def _weight(mask: Tensor, outside_weight: float, like: Tensor) -> Tensor:
    return mask.to(accumulation_dtype(like.dtype)) * (1.0 - outside_weight) + outside_weight


def _difference(prediction: Tensor, target: Tensor) -> Tensor:
    dtype = accumulation_dtype(prediction.dtype)
    return prediction.to(dtype) - target.to(dtype)


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float) -> Tensor:
    """Equation 2 as a scalar; NaN for an empty batch, as torch's own mean."""
    squares = _difference(prediction, target).square_().sum(1, keepdim=True)
    return squares.mul_(_weight(mask, outside_weight, prediction)).sum() / prediction.numel()


def masked_mse_backward(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    """The gradient of the prediction, in its dtype and memory format."""
    if prediction.numel() == 0:
        return empty_gradient(prediction)
    factor = _weight(mask, outside_weight, prediction) * (grad_loss * (2.0 / prediction.numel()))
    return empty_gradient(prediction).copy_(_difference(prediction, target).mul_(factor))
