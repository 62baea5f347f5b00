"""The allocator of CPU tensors."""

from ctypes import CDLL

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_LARGE = (1 << 30, 1 << 25)
"""Largest block that is kept for reuse, in bytes: the preferred limit, and that of older glibc."""


def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks for the next tensors; returns whether that was possible.

    By default it returns large blocks to the kernel at once. Each training step then maps the same
    memory anew, and every page is cleared at its first touch.
    """
    try:
        mallopt = CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    raised = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _LARGE)
    return bool(raised and mallopt(_M_TRIM_THRESHOLD, _NEVER))
