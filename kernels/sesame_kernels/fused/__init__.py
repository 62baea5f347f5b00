"""The ops as Triton kernels. Imported only when one runs, since importing needs Triton."""

from sesame_kernels.fused.masked_mse import masked_mse, masked_mse_backward
from sesame_kernels.fused.noise_mask import noise_mask, noise_mask_backward
from sesame_kernels.fused.soft_argmax import soft_argmax, soft_argmax_backward

__all__ = [
    "masked_mse",
    "masked_mse_backward",
    "noise_mask",
    "noise_mask_backward",
    "soft_argmax",
    "soft_argmax_backward",
]
