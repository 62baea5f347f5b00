"""Shared memory of many blocks, with a check for races between warps.

Two warps race if they access a byte without a barrier between, and one of them changes it. Warps
that store the same value do not: Triton stores what it holds several times over. A warp's own
accesses are in order. A byte that an asynchronous copy is about to write belongs to nobody.
"""

import numpy as np

from .faults import Fault
from .values import Array

__all__ = ["SharedMemory"]

_NOBODY, _SEVERAL = -1, -2


class SharedMemory:
    """`size` bytes for each of `blocks`."""

    def __init__(self, blocks: int, size: int) -> None:
        self.size = size
        self._data = np.zeros((blocks, size), np.uint8)
        self._epoch = np.ones(blocks, np.int32)
        self._writer = np.full((blocks, size), _NOBODY, np.int16)
        self._reader = np.full((blocks, size), _NOBODY, np.int16)
        self._write_epoch = np.zeros((blocks, size), np.int32)
        self._read_epoch = np.zeros((blocks, size), np.int32)
        self._in_flight = np.zeros((blocks, size), bool)

    def barrier(self, blocks: Array) -> None:
        """All threads of the blocks [N bool] have met."""
        self._epoch += blocks

    def load(self, addresses: Array, size: int, active: Array, what: object) -> Array:
        """Bytes [blocks, threads, size] at addresses [blocks, threads]; 0 where not active."""
        result = np.zeros((*addresses.shape, size), np.uint8)
        at, warps, epochs = self._places(addresses, size, active, what)
        if np.any(self._in_flight[at]):
            raise Fault(f"read of what an asynchronous copy is writing: {what}")
        if np.any((self._write_epoch[at] == epochs) & (self._writer[at] != warps)):
            raise Fault(f"race: read of what another warp wrote, without a barrier: {what}")
        self._note_readers(at, warps, epochs)
        result[active] = self._data[at]
        return result

    def store(self, addresses: Array, data: Array, active: Array, what: object) -> None:
        """Bytes [blocks, threads, size] to addresses [blocks, threads]."""
        at, warps, epochs = self._places(addresses, data.shape[2], active, what)
        if np.any(self._in_flight[at]):
            raise Fault(f"write of what an asynchronous copy is writing: {what}")
        self._write(at, warps, epochs, data[active], what)

    def begin_copy(self, addresses: Array, size: int, active: Array, what: object) -> None:
        """An asynchronous copy may write from now on."""
        at, warps, epochs = self._places(addresses, size, active, what)
        self._require_unread(at, warps, epochs, what)
        self._in_flight[at] = True

    def end_copy(self, addresses: Array, data: Array, active: Array, what: object) -> None:
        """An asynchronous copy has written; other warps see it after a barrier."""
        at, warps, epochs = self._places(addresses, data.shape[2], active, what)
        self._in_flight[at] = False
        self._write(at, warps, epochs, data[active], what)

    def _note_readers(self, at: tuple[Array, Array], warps: Array, epochs: Array) -> None:
        before = (self._read_epoch[at] == epochs) & (self._reader[at] != warps)
        readers = np.where(before, np.int16(_SEVERAL), warps)
        self._reader[at] = readers
        mixed = self._reader[at] != readers  # the same byte, by several warps at once
        self._reader[at[0] + np.zeros_like(at[1]), at[1]] = np.where(
            mixed, np.int16(_SEVERAL), self._reader[at]
        )
        self._read_epoch[at] = np.broadcast_to(epochs, warps.shape)

    def _write(
        self, at: tuple[Array, Array], warps: Array, epochs: Array, data: Array, what: object
    ) -> None:
        others = (self._write_epoch[at] == epochs) & (self._writer[at] != warps)
        if np.any(others & (self._data[at] != data)):
            raise Fault(f"race: two warps write different values, without a barrier: {what}")
        self._require_unread(at, warps, epochs, what)
        self._data[at] = data
        if np.any(self._data[at] != data):
            raise Fault(f"race: threads write different values at once: {what}")
        self._writer[at] = warps
        self._write_epoch[at] = np.broadcast_to(epochs, warps.shape)

    def _require_unread(
        self, at: tuple[Array, Array], warps: Array, epochs: Array, what: object
    ) -> None:
        if np.any((self._read_epoch[at] == epochs) & (self._reader[at] != warps)):
            raise Fault(f"race: write of what another warp reads, without a barrier: {what}")

    def _places(
        self, addresses: Array, size: int, active: Array, what: object
    ) -> tuple[tuple[Array, Array], Array, Array]:
        """((block, byte), warp, epoch) of each byte of each active thread."""
        blocks, threads = np.nonzero(active)
        first = addresses[active].astype(np.int64)
        if np.any(first % size):
            raise Fault(f"misaligned access of {size} bytes in shared memory: {what}")
        if first.size and (first.min() < 0 or first.max() + size > self.size):
            raise Fault(f"access beyond {self.size} bytes of shared memory: {what}")
        places = first[:, None] + np.arange(size)
        warps = np.broadcast_to((threads // 32).astype(np.int16)[:, None], places.shape)
        return (blocks[:, None], places), warps, self._epoch[blocks][:, None]
