"""Fused ops of landmark training: Triton on CUDA tensors, PyTorch on CPU tensors.

Needs torch, and triton for CUDA tensors; independent of sesame_hpc.
"""

from sesame_kernels.functional import (
    Distribution,
    linear_soft_argmax,
    masked_mse,
    noise_mask,
    soft_argmax,
    soft_argmax_distribution,
    soft_argmax_marginals,
)
from sesame_kernels.losses import gaussian_divergence, soft_argmax_loss, star_loss
from sesame_kernels.modules import (
    LinearSoftArgmax,
    MaskedMSELoss,
    SoftArgmax,
    SoftArgmaxLoss,
    StarLoss,
)
from sesame_kernels.penalties import PENALTIES, Penalty, PenaltyName

__all__ = [
    "PENALTIES",
    "Distribution",
    "LinearSoftArgmax",
    "MaskedMSELoss",
    "Penalty",
    "PenaltyName",
    "SoftArgmax",
    "SoftArgmaxLoss",
    "StarLoss",
    "__version__",
    "gaussian_divergence",
    "linear_soft_argmax",
    "masked_mse",
    "noise_mask",
    "soft_argmax",
    "soft_argmax_distribution",
    "soft_argmax_loss",
    "soft_argmax_marginals",
    "star_loss",
]
__version__ = "0.1.0"
