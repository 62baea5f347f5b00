"""Triton's names of the dtypes that kernels accumulate in."""

import torch
import triton.language as tl

__all__ = ["TRITON_DTYPE"]

TRITON_DTYPE = {torch.float32: tl.float32, torch.float64: tl.float64}
