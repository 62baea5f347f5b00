"""How the CPU's memory is handed out to tensors."""

from ctypes import CDLL

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_LARGE = (1 << 30, 1 << 25)
"""The largest block that need not come from the kernel: as wished, and what older glibc allows."""


def keep_freed_memory() -> bool:
    """Let glibc keep what tensors free for the next ones; returns whether that was possible.

    By default it gives large blocks back to the kernel at once. A training step then gets the same
    memory thousands of pages at a time, each cleared at its first touch, again and again.
    """
    try:
        mallopt = CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    raised = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _LARGE)
    return bool(raised and mallopt(_M_TRIM_THRESHOLD, _NEVER))
