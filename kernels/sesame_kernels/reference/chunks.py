"""Chunks of a batch, so that intermediate results stay in the cache."""

from torch import Tensor

__all__ = ["chunks"]


def chunks(batch: Tensor, elements: int = 1 << 20) -> list[slice]:
    """The samples of [B, ...] in slices of equal length, of at most `elements` or one sample.

    A batch of up to four times as many is one chunk: the overhead of more operations would cost
    more. An empty batch has no chunks.
    """
    if batch.numel() == 0:
        return []
    if batch.numel() <= 4 * elements:
        return [slice(0, len(batch))]
    most = max(1, elements // batch[:1].numel())
    count = -(-len(batch) // most)
    length = -(-len(batch) // count)
    return [slice(first, first + length) for first in range(0, len(batch), length)]
