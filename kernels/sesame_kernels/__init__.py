"""Fused ops of landmark training: Triton on CUDA tensors, PyTorch on CPU tensors.

Needs torch, and triton for CUDA tensors; independent of sesame_hpc.
"""

from sesame_kernels.functional import (
    linear_soft_argmax,
    masked_mse,
    noise_mask,
    soft_argmax,
    soft_argmax_l1,
)
from sesame_kernels.modules import (
    LinearSoftArgmax,
    MaskedMSELoss,
    SoftArgmax,
    SoftArgmaxL1Loss,
)

__all__ = [
    "LinearSoftArgmax",
    "MaskedMSELoss",
    "SoftArgmax",
    "SoftArgmaxL1Loss",
    "linear_soft_argmax",
    "masked_mse",
    "noise_mask",
    "soft_argmax",
    "soft_argmax_l1",
]
