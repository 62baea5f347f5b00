"""Batches a few samples at a time, so that intermediate results stay in the cache."""

from torch import Tensor

__all__ = ["pieces"]


def pieces(batch: Tensor, elements: int = 1 << 20) -> list[slice]:
    """The samples of [B, ...] in slices of equal length, of at most `elements` or one sample."""
    most = max(1, elements // max(1, batch[:1].numel()))
    count = -(-len(batch) // most)
    length = -(-len(batch) // max(1, count))
    return [slice(first, first + length) for first in range(0, len(batch), max(1, length))]
