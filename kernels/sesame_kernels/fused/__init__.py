"""The ops as Triton kernels. Imported only when one runs, since importing needs Triton."""

from sesame_kernels.fused.linear_soft_argmax import linear_soft_argmax
from sesame_kernels.fused.linear_soft_argmax_backward import linear_soft_argmax_backward
from sesame_kernels.fused.masked_mse import masked_mse, masked_mse_backward
from sesame_kernels.fused.noise_mask import noise_mask, noise_mask_backward
from sesame_kernels.fused.soft_argmax import (
    soft_argmax,
    soft_argmax_backward,
    soft_argmax_moments,
    soft_argmax_moments_backward,
)
from sesame_kernels.fused.soft_argmax_l1 import (
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
    "soft_argmax_l1",
    "soft_argmax_l1_backward",
    "soft_argmax_l1_rescale_",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
]
