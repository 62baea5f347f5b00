"""Fused ops of landmark training: Triton on CUDA tensors, PyTorch on CPU tensors.

Needs torch, and triton where CUDA tensors come in; knows nothing of the rest of the project.
"""

from sesame_kernels.functional import masked_mse, noise_mask, soft_argmax
from sesame_kernels.modules import MaskedMSELoss, SoftArgmax

__all__ = ["MaskedMSELoss", "SoftArgmax", "masked_mse", "noise_mask", "soft_argmax"]
