"""The ops in plain PyTorch, for CPU tensors and as the reference in tests of the kernels."""
