"""Many short texts, such as the image names of a million faces, in one buffer."""

import operator
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, SupportsIndex, cast, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["StringColumn", "Texts"]

_AT_ONCE = 1 << 14
_ENCODING = "utf-8", "surrogatepass"  # keeps the order of code points, and of any file's name


class StringColumn(Sequence[str]):
    """A sequence of N texts that takes their bytes and 16 more of each, instead of N objects.

    It compares and hashes as the tuple of the same texts. What `select` takes out shares the
    buffer.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        buffer, lengths = bytearray(), [np.zeros(0, np.int64)]
        source = iter(texts)
        while some := [text.encode(*_ENCODING) for text in islice(source, _AT_ONCE)]:
            lengths.append(np.fromiter(map(len, some), np.int64, len(some)))
            buffer += b"".join(some)
        self._lengths = np.concatenate(lengths)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._buffer = bytes(buffer)

    @classmethod
    def of(cls, texts: "Sequence[str]") -> "StringColumn":
        """`texts` themselves if they are a column already."""
        return texts if isinstance(texts, StringColumn) else cls(texts)

    @classmethod
    def joined(cls, columns: "Sequence[StringColumn]") -> "StringColumn":
        """The texts of all `columns`, in their order."""
        joined = cls()
        joined._buffer = b"".join(column._buffer for column in columns)
        before = np.cumsum([0, *(len(column._buffer) for column in columns)])
        starts = [column._starts + first for column, first in zip(columns, before, strict=False)]
        joined._starts = np.concatenate([joined._starts, *starts])
        joined._lengths = np.concatenate([joined._lengths, *(each._lengths for each in columns)])
        return joined

    def select(self, rows: NDArray[np.int64]) -> "StringColumn":
        """The texts at `rows`, int64 positions in any order."""
        chosen = StringColumn()
        chosen._buffer = self._buffer
        chosen._starts, chosen._lengths = self._starts[rows], self._lengths[rows]
        return chosen

    def as_bytes(self) -> NDArray[np.bytes_]:
        """The texts in UTF-8, [N], as wide as the longest; they sort as the texts do."""
        width = max(int(self._lengths.max(initial=1)), 1)
        array = np.zeros(len(self), f"S{width}")
        for row, text in enumerate(self._encoded()):
            array[row] = text
        return array

    def longest(self) -> int:
        """The most characters that a text has."""
        return max(map(len, self), default=0)

    def _encoded(self) -> Iterator[bytes]:
        for first in range(0, len(self), _AT_ONCE):
            starts = self._starts[first : first + _AT_ONCE].tolist()
            lengths = self._lengths[first : first + _AT_ONCE].tolist()
            for start, length in zip(starts, lengths, strict=True):
                yield self._buffer[start : start + length]

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[str]:
        return (text.decode(*_ENCODING) for text in self._encoded())

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "StringColumn": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "str | StringColumn":
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        row = operator.index(index)
        start, length = int(self._starts[row]), int(self._lengths[row])
        return self._buffer[start : start + length].decode(*_ENCODING)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StringColumn | tuple) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, cast(Sequence[Any], other), strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"StringColumn({shown}{', ...' * (len(self) > 3)}; {len(self)} texts)"


Texts = StringColumn | tuple[str, ...]
