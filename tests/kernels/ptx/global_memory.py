"""Global memory: the storages of the tensors that a kernel gets, and nothing else.

Blocks run in any order, so one may neither read what another has written nor change it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .faults import Fault
from .values import Array

__all__ = ["Buffer", "GlobalMemory"]

_WARP = 32
_SECTOR_BITS = np.uint64(5)


@dataclass
class Buffer:
    """`data` [bytes] at an address; `name` for messages; `owner` is the block that wrote, or 0."""

    name: str
    address: int
    data: Array
    owner: Array = field(init=False)

    def __post_init__(self) -> None:
        self.owner = np.zeros(len(self.data), np.int32)


class GlobalMemory:
    """`load` and `store` get addresses [blocks, threads], which threads are `active`, the number of
    each block (`owners` [blocks], from 1) and, for messages, the instruction."""

    def __init__(self, buffers: Iterable[Buffer], sectors: Counter[str] | None = None) -> None:
        """`sectors` counts, by buffer, those of 32 bytes that a warp touches per instruction."""
        self._buffers = [buffer for buffer in buffers if len(buffer.data)]
        self._sectors = sectors

    def load(
        self, addresses: Array, size: int, active: Array, owners: Array, what: object
    ) -> Array:
        """Bytes [blocks, threads, size]; 0 where not active."""
        self._count_sectors(addresses, active)
        wanted, readers = addresses[active], _of_active(owners, active)
        found = np.zeros((len(wanted), size), np.uint8)
        for buffer, inside, places in self._split(wanted, size, "load", what):
            writers = buffer.owner[places]
            if np.any((writers != 0) & (writers != readers[inside][:, None])):
                raise Fault(f"race: read of what another block wrote to {buffer.name}: {what}")
            found[inside] = buffer.data[places]
        result = np.zeros((*addresses.shape, size), np.uint8)
        result[active] = found
        return result

    def store(
        self, addresses: Array, data: Array, active: Array, owners: Array, what: object
    ) -> None:
        """Bytes [blocks, threads, size]."""
        self._count_sectors(addresses, active)
        size, values, writing = data.shape[2], data[active], _of_active(owners, active)
        for buffer, inside, places in self._split(addresses[active], size, "store", what):
            own = np.broadcast_to(writing[inside][:, None], places.shape)
            others = (buffer.owner[places] != 0) & (buffer.owner[places] != own)
            if np.any(others & (buffer.data[places] != values[inside])):
                raise Fault(f"race: two blocks write different values to {buffer.name}: {what}")
            buffer.data[places] = values[inside]
            buffer.owner[places] = own
            if np.any(buffer.data[places] != values[inside]):
                raise Fault(f"race: different values at once to {buffer.name}: {what}")

    def _count_sectors(self, addresses: Array, active: Array) -> None:
        """An access of up to 16 bytes, which is aligned, touches one."""
        if self._sectors is None:
            return
        of_warps = np.where(active, addresses >> _SECTOR_BITS, 0).reshape(-1, _WARP)
        ordered = np.sort(of_warps, axis=1)
        first = np.ones_like(ordered, bool)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        found = ordered[first & (ordered != 0)] << _SECTOR_BITS
        for buffer in self._buffers:
            start, end = buffer.address & ~31, buffer.address + len(buffer.data)
            inside = (found >= np.uint64(start)) & (found < np.uint64(end))
            self._sectors[buffer.name] += int(inside.sum())

    def _split(
        self, addresses: Array, size: int, action: str, what: object
    ) -> Iterator[tuple[Buffer, Array, Array]]:
        """(buffer, which of the addresses are in it, all bytes of each in it [N, size])."""
        if np.any(addresses % np.uint64(size)):
            raise Fault(f"misaligned {action} of {size} bytes: {what}")
        left = np.ones(len(addresses), bool)
        parts = []
        for buffer in self._buffers:
            end = np.uint64(buffer.address + len(buffer.data))
            inside = (addresses >= np.uint64(buffer.address)) & (addresses + np.uint64(size) <= end)
            if inside.any():
                first = (addresses[inside] - np.uint64(buffer.address)).astype(np.int64)
                parts.append((buffer, inside, first[:, None] + np.arange(size)))
                left &= ~inside
        if left.any():
            raise Fault(self._out_of_bounds(int(addresses[left][0]), size, action, what))
        yield from parts

    def _out_of_bounds(self, address: int, size: int, action: str, what: object) -> str:
        def distance(buffer: Buffer) -> int:
            return max(buffer.address - address, address - buffer.address - len(buffer.data))

        nearest = min(self._buffers, key=distance, default=None)
        where = "with no tensor"
        if nearest is not None:
            where = f"at byte {address - nearest.address} of {len(nearest.data)} of {nearest.name}"
        return f"{action} of {size} bytes out of bounds, {where}: {what}"


def _of_active(owners: Array, active: Array) -> Array:
    """[blocks] -> [N], of each active thread."""
    return np.broadcast_to(owners[:, None], active.shape)[active]
