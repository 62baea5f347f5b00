"""Shared memory of many blocks, with a check for races between warps.

Two warps race if they access a byte without a barrier between, and one of them changes it. Warps
that store the same value do not: Triton stores what it holds several times over. Such sums may
differ in their last bits, since compilers fuse a product into the addition of one thread and not
of the other; which of them stays is then not defined, but no fault. A warp's own accesses are in
order. A byte that an asynchronous copy is about to write belongs to nobody.
"""

import numpy as np

from .faults import Fault
from .values import Array

__all__ = ["SharedMemory"]

_WARPS = 64  # more than a block has, so that one number holds a barrier and a warp
_SEVERAL = _WARPS - 1
_IN_FLIGHT = np.int32(2**31 - 1)


class _Places:
    """The bytes that the active threads access, [N, size] each.

    `at` are their positions in the memory of all blocks; `owner` says which warp it is and after
    how many barriers of its block, and is at least `now` since the last one.
    """

    def __init__(self, at: Array, owner: Array, now: Array) -> None:
        self.at, self.owner, self.now = at, owner, now

    def touched_by_others(self, owners: Array) -> Array:
        """Since the last barrier, by another warp."""
        return (owners >= self.now) & (owners != self.owner)


class SharedMemory:
    """`size` bytes for each of `blocks`."""

    def __init__(self, blocks: int, size: int) -> None:
        self.size = size
        self._now = np.full(blocks, _WARPS, np.int32)
        self._data = np.zeros(blocks * size, np.uint8)
        self._writer = np.zeros(blocks * size, np.int32)
        self._reader = np.zeros(blocks * size, np.int32)

    def barrier(self, blocks: Array) -> None:
        """All threads of the blocks [N bool] have met."""
        self._now = self._now + np.int32(_WARPS) * blocks.astype(np.int32)

    def load(self, addresses: Array, size: int, active: Array, what: object) -> Array:
        """Bytes [blocks, threads, size] at addresses [blocks, threads]; 0 where not active."""
        places = self._places(addresses, size, active, what)
        writers = self._writer[places.at]
        raced = places.touched_by_others(writers)
        if raced.any():
            if (writers[raced] == _IN_FLIGHT).any():
                raise Fault(f"read of what an asynchronous copy is writing: {what}")
            raise Fault(f"race: read of what another warp wrote, without a barrier: {what}")
        self._note_readers(places)
        found = self._data[places.at]
        if active.all():
            return found.reshape(*addresses.shape, size)
        result = np.zeros((*addresses.shape, size), np.uint8)
        result[active] = found
        return result

    def store(self, addresses: Array, data: Array, active: Array, what: object) -> None:
        """Bytes [blocks, threads, size] to addresses [blocks, threads]."""
        places = self._places(addresses, data.shape[2], active, what)
        if (self._writer[places.at] == _IN_FLIGHT).any():
            raise Fault(f"write of what an asynchronous copy is writing: {what}")
        self._write(places, data[active], what)

    def begin_copy(self, addresses: Array, size: int, active: Array, what: object) -> None:
        """An asynchronous copy may write from now on."""
        places = self._places(addresses, size, active, what)
        self._require_unread(places, what)
        self._writer[places.at] = _IN_FLIGHT

    def end_copy(self, addresses: Array, data: Array, active: Array, what: object) -> None:
        """An asynchronous copy has written; other warps see it after a barrier."""
        places = self._places(addresses, data.shape[2], active, what)
        self._writer[places.at] = 0
        self._write(places, data[active], what)

    def _note_readers(self, places: _Places) -> None:
        others = places.touched_by_others(self._reader[places.at])
        several = places.now + np.int32(_SEVERAL)
        self._reader[places.at] = np.where(others, several, places.owner)
        mixed = self._reader[places.at] != places.owner  # or the same byte by several warps at once
        if mixed.any():
            self._reader[places.at[mixed]] = np.broadcast_to(several, mixed.shape)[mixed]

    def _write(self, places: _Places, data: Array, what: object) -> None:
        others = places.touched_by_others(self._writer[places.at]).any(axis=1)
        if not _equal_but_for_rounding(self._data[places.at][others], data[others]):
            raise Fault(f"race: two warps write different values, without a barrier: {what}")
        self._require_unread(places, what)
        self._data[places.at] = data
        if not _equal_but_for_rounding(self._data[places.at], data):
            raise Fault(f"race: threads write different values at once: {what}")
        self._writer[places.at] = np.broadcast_to(places.owner, places.at.shape)

    def _require_unread(self, places: _Places, what: object) -> None:
        if places.touched_by_others(self._reader[places.at]).any():
            raise Fault(f"race: write of what another warp reads, without a barrier: {what}")

    def _places(self, addresses: Array, size: int, active: Array, what: object) -> _Places:
        blocks, threads = np.nonzero(active)
        first = addresses[active].astype(np.int64)
        if np.any(first % size):
            raise Fault(f"misaligned access of {size} bytes in shared memory: {what}")
        if first.size and (first.min() < 0 or first.max() + size > self.size):
            raise Fault(f"access beyond {self.size} bytes of shared memory: {what}")
        now = self._now[blocks][:, None]
        owner = now + (threads // 32).astype(np.int32)[:, None]
        at = (blocks * self.size + first)[:, None] + np.arange(size)
        return _Places(at, owner, now)


def _equal_but_for_rounding(first: Array, second: Array) -> bool:
    """Whether bytes [N, size] are equal, as floats up to a few units in the last place."""
    if np.array_equal(first, second):
        return True
    differ = (first != second).any(axis=1)
    for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-15)):
        if first.shape[1] % np.dtype(dtype).itemsize == 0:
            one, other = (
                np.ascontiguousarray(part[differ]).view(dtype) for part in (first, second)
            )
            if np.allclose(one, other, rtol=tolerance, atol=0.0, equal_nan=True):
                return True
    return False
