"""The ops in plain PyTorch: what CPU tensors run, and what the kernels are tested against."""

from sesame_kernels.reference.masked_mse import masked_mse, masked_mse_backward
from sesame_kernels.reference.noise_mask import noise_mask, noise_mask_backward
from sesame_kernels.reference.soft_argmax import soft_argmax, soft_argmax_backward

__all__ = [
    "masked_mse",
    "masked_mse_backward",
    "noise_mask",
    "noise_mask_backward",
    "soft_argmax",
    "soft_argmax_backward",
]
