"""Fresh memory for large results on CPUs."""

from collections.abc import Callable
from ctypes import CDLL, c_int, c_size_t, c_void_p
from functools import cache

from torch import Tensor

__all__ = ["on_large_pages"]

_LARGE = 1 << 21
_MADV_HUGEPAGE = 14


def on_large_pages(fresh: Tensor) -> Tensor:
    """An uninitialised, dense tensor, for which Linux is advised to use pages of 2 MB.

    With pages of 4 KB the first touch of a tensor takes longer than its softmax. PyTorch does the
    same for every tensor with THP_MEM_ALLOC_ENABLE=1. Does nothing on other systems, and for
    tensors smaller than a page.
    """
    address = fresh.data_ptr()
    first = -(-address // _LARGE) * _LARGE
    length = (address + fresh.nbytes) // _LARGE * _LARGE - first
    if length > 0 and fresh.is_cpu:
        _madvise()(first, length, _MADV_HUGEPAGE)
    return fresh


@cache
def _madvise() -> Callable[[int, int, int], object]:
    try:
        madvise = CDLL(None).madvise
    except (AttributeError, OSError, TypeError):
        return lambda address, length, advice: None
    madvise.argtypes = (c_void_p, c_size_t, c_int)
    return madvise
