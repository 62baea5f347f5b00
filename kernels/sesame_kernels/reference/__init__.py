"""The ops in plain PyTorch: what CPU tensors run, and what the kernels are tested against."""

from sesame_kernels.reference.linear_soft_argmax import (
    linear_soft_argmax,
    linear_soft_argmax_backward,
)
from sesame_kernels.reference.masked_mse import masked_mse, masked_mse_backward
from sesame_kernels.reference.noise_mask import noise_mask, noise_mask_backward
from sesame_kernels.reference.soft_argmax import (
    soft_argmax,
    soft_argmax_backward,
    soft_argmax_backward_,
    soft_argmax_moments,
    soft_argmax_moments_backward,
)
from sesame_kernels.reference.soft_argmax_l1 import (
    soft_argmax_l1,
    soft_argmax_l1_backward,
    soft_argmax_l1_rescale_,
)

__all__ = [
    "linear_soft_argmax",
    "linear_soft_argmax_backward",
    "masked_mse",
    "masked_mse_backward",
    "noise_mask",
    "noise_mask_backward",
    "soft_argmax",
    "soft_argmax_backward",
    "soft_argmax_backward_",
    "soft_argmax_l1",
    "soft_argmax_l1_backward",
    "soft_argmax_l1_rescale_",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
]
