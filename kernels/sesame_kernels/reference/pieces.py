"""Batches a few samples at a time, so that intermediate results stay in the cache."""

from torch import Tensor

__all__ = ["pieces"]

_ELEMENTS = 1 << 20


def pieces(batch: Tensor, channels: int | None = None) -> list[slice]:
    """The samples of [B, C, H, W] in slices of at least one, of about 2^20 elements.

    `channels` is what intermediate results have instead of C.
    """
    size = batch[:1].numel()
    if channels is not None:
        size = size // max(1, batch.shape[1]) * channels
    samples = max(1, _ELEMENTS // max(1, size))
    return [slice(first, first + samples) for first in range(0, len(batch), samples)]
