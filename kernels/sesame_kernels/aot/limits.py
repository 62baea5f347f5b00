"""What an H100 allows, predicted from instructions and bytes per element.

A multiprocessor issues at most 4 instructions of a warp per cycle, which bounds elements per
second; the memory bounds their bytes. Latency and the units for special functions come on top: the
figures are what can be reached at the most.
"""

__all__ = ["most_of_copy"]

_INSTRUCTIONS = 132 * 4 * 32 * 1.755e9
"""Of threads, per second: 132 multiprocessors, warps of 32 threads, 1.755 GHz."""

_COPIED = 3.35e12 * 4.25 / 4.8
"""Bytes per second, read and written: 3.35 TB/s, of which a copy reaches the share that it reaches
on an H200 (4.25 of 4.8 TB/s, docs/kernels/measured.md)."""


def most_of_copy(instructions: float, moved: float) -> float:
    """The share of a copy's bandwidth that an op can reach.

    Takes instructions and bytes per element of its data.
    """
    moving = moved / _COPIED
    return moving / max(instructions / _INSTRUCTIONS, moving)
