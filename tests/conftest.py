"""Where there is no CUDA device, Triton kernels run interpreted in this process.

Triton reads the variable when it is first imported, hence here, before any test module.
"""

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
