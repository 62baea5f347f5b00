"""Whether an error means that the machine ran out of memory or threads, or that a GPU failed.

PyTorch, DALI and Python's threads all raise RuntimeError for that, each in its own words.
"""

__all__ = ["shortage"]

_GPU = "the GPU or its driver failed, now or a few steps ago (see dmesg, nvidia-smi)"
_SIGNS = {
    "can't allocate memory": "not enough memory",
    "cannot allocate memory": "not enough memory",
    "bad_alloc": "not enough memory",
    "out of memory": "not enough memory",
    "could not create a primitive": "oneDNN failed, as it does without enough memory (ulimit -v)",
    "can't start new thread": "no more threads can be started (ulimit -u, ulimit -v)",
    "resource temporarily unavailable": "no more threads can be started (ulimit -u, ulimit -v)",
    "terminated abruptly": "a process was ended, as the system does where memory is short",
    "cuda error": _GPU,
    "cudnn error": _GPU,
    "cudnn_status": _GPU,
    "cublas_status": _GPU,
    "nccl error": _GPU,
}


def shortage(error: BaseException) -> str | None:
    """What is lacking or failed, and the line of the error that says so; None for other errors."""
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    for line in str(error).splitlines():
        for sign, what in _SIGNS.items():
            if sign in line.lower():
                return f"{what}: {line.strip()}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return None
