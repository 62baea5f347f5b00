"""The file format of a shard: images, then their index, then a trailer that marks it complete."""

import io
import mmap
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.files import replacing

__all__ = ["RECORD", "Shard", "StoredImage", "open_shard", "shard_name", "write_shard"]

RECORD = np.dtype(
    [
        ("sample_id", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("crc", "<u4"),
        ("original", "?"),
        ("region", "<i4", (4,)),
        ("stored", "<i4", (2,)),
        ("image", "<i4", (2,)),
    ]
)
"""One face of a shard's index.

`offset`, `length` and `crc` (CRC-32) are of the encoded image. `original` is true for the
whole file. `region` is x_min, y_min, x_max, y_max of what it shows of an image of `image`
(width, height) pixels; `stored` is its own width and height.
"""

_TRAILER = struct.Struct("<qqI16s8s")
_MAGIC = b"SESAPCK1"


@dataclass(frozen=True)
class StoredImage:
    """An encoded image for `sample_id`; faces that share a file share `key`."""

    sample_id: int
    key: str
    encoded: bytes
    original: bool
    region: tuple[int, int, int, int]
    stored: tuple[int, int]
    image: tuple[int, int]


@dataclass(frozen=True)
class Shard:
    """A complete shard, mapped into memory: its bytes and its index, RECORD [n]."""

    path: Path
    content: mmap.mmap
    index: NDArray[np.void]

    def encoded(self, record: np.void) -> NDArray[np.uint8]:
        """The image of a record of the index, uint8 [n], as a read-only view of the file.

        Raises:
            ValueError: its checksum differs; names the shard and the sample.
        """
        offset, length = int(record["offset"]), int(record["length"])
        encoded = np.frombuffer(self.content, dtype=np.uint8, count=length, offset=offset)
        if zlib.crc32(memoryview(self.content)[offset : offset + length]) != int(record["crc"]):
            raise ValueError(
                f"{self.path}: the checksum of sample {record['sample_id']} (bytes {offset} to "
                f"{offset + length}) differs: the file is damaged; pack the data set again"
            )
        return encoded

    def verify(self) -> None:
        """Check all images' checksums; ValueError as `encoded`."""
        for record in self.index:
            self.encoded(record)


def shard_name(split: str, shard: int) -> str:
    """The name of a shard."""
    return f"{split}-{shard:05}.shard"


def write_shard(path: Path, images: Iterable[StoredImage], fingerprint: bytes) -> None:
    """Write a shard so that `path` is there only once all of it is on disk.

    `fingerprint` (16 bytes) identifies what the shard was made from.
    """
    records, places = [], {}
    with replacing(path) as partial, partial.open("wb") as file:
        for each in images:
            if each.key not in places:
                places[each.key] = (file.tell(), len(each.encoded), zlib.crc32(each.encoded))
                file.write(each.encoded)
            about = (each.original, each.region, each.stored, each.image)
            records.append((each.sample_id, *places[each.key], *about))
        offset = file.tell()
        index = _npy(np.array(records, dtype=RECORD))
        trailer = _TRAILER.pack(offset, len(index), zlib.crc32(index), fingerprint, _MAGIC)
        file.write(index + trailer)


def open_shard(path: Path, fingerprint: bytes | None = None) -> Shard:
    """Map a shard and check its trailer and index, not its images.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a complete shard, one of another `fingerprint`, or one whose index does not
            describe its images.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such shard; pack the data set again")
    size = path.stat().st_size
    if size < _TRAILER.size:
        raise ValueError(f"{path}: {size} bytes is too short for a shard; pack the data set again")
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    offset, length, crc, made_from, magic = _TRAILER.unpack(content[size - _TRAILER.size :])
    whole = magic == _MAGIC and min(offset, length) >= 0 and offset + length + _TRAILER.size == size
    if not whole or zlib.crc32(content[offset : offset + length]) != crc:
        raise ValueError(f"{path}: the shard's index is damaged; pack the data set again")
    if fingerprint is not None and made_from != fingerprint:
        raise ValueError(f"{path}: the shard was packed from other faces or with other settings")
    return Shard(path, content, _index(path, content[offset : offset + length], offset))


def _index(path: Path, encoded: bytes, end: int) -> NDArray[np.void]:
    """The index of a shard whose images end at `end`; ValueError for what `write_shard` never is.

    Its checksum is right in a shard that someone made on purpose, too.
    """
    try:
        index = _records(encoded)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise ValueError(f"{path}: the shard's index cannot be read ({error})") from None
    if not isinstance(index, np.ndarray) or index.dtype != RECORD or index.ndim != 1:
        raise ValueError(f"{path}: the shard's index is not a list of images")
    offset, length = index["offset"], index["length"]
    if ((offset < 0) | (length < 0) | (offset > end) | (length > end - offset)).any():
        raise ValueError(f"{path}: the shard's index has images outside the shard")
    low, high = index["region"][:, :2], index["region"][:, 2:]
    shrunk = ~index["original"]
    sizes_fit = (high > low).all(axis=1) & (index["stored"] > 0).all(axis=1)
    if (shrunk & ~(sizes_fit & (low >= 0).all(axis=1))).any():
        raise ValueError(f"{path}: the shard's index has images of no size")
    return index


def _records(encoded: bytes) -> Any:
    """What `np.load` gives, by other means where the header is as `write_shard` writes it.

    `np.load` parses its header as Python, and threads read shards: where two parse at once, CPython
    3.11 sometimes ends one with "SystemError: AST constructor recursion depth mismatch".
    """
    count = max(0, len(encoded) - len(_header(0))) // RECORD.itemsize
    header = _header(count)
    if encoded.startswith(header) and len(encoded) == len(header) + count * RECORD.itemsize:
        return np.frombuffer(encoded, RECORD, offset=len(header))
    return np.load(io.BytesIO(encoded), allow_pickle=False)


def _header(count: int) -> bytes:
    buffer = io.BytesIO()
    about = {"descr": RECORD.descr, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue()


def _npy(array: NDArray[np.void]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
