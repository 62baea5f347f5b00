"""Faults: faces or files that cannot be read, collected so that one message names several."""

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from sesame_hpc.data.delimited import encoding_of, other_kind

__all__ = ["Fault", "FaultKind", "folder_entries", "raise_faults", "read_lines", "read_text"]

_LARGE_FILE, _BYTES_AT_ONCE, _FIRST_BYTES = 1 << 22, 1 << 20, 1024

FaultKind = Literal[
    "text",
    "layout",
    "fields",
    "number",
    "box",
    "normaliser",
    "attribute",
    "image",
    "empty",
    "pack",
]


class Fault(ValueError):
    """A face, or a file, that cannot be read. Whatever else is noticed is a `Finding`.

    `kind` groups faults for reports; `place` is "file:line", "file:key" or a file; `problem` says
    what is wrong and what would be valid. After a `fatal` one the rest of the file is not known.
    """

    def __init__(
        self, kind: FaultKind, place: str | Path, problem: str, *, fatal: bool = False
    ) -> None:
        super().__init__(f"{place}: {problem}")
        self.kind: FaultKind = kind
        self.place = str(place)
        self.problem = problem
        self.fatal = fatal


def raise_faults(what: str, faults: Sequence[Fault], shown: int = 10, advice: str = "") -> None:
    """Raise a ValueError that lists the first faults of `what`, counts all, and ends in `advice`.

    Returns if there are none.
    """
    if not faults:
        return
    lines = [f"{what}: {len(faults)} fault{'s' * (len(faults) > 1)}"]
    lines += [str(fault) for fault in faults[:shown]]
    if (more := len(faults) - shown) > 0:
        lines.append(f"and {more} more")
    if advice:
        lines.append(advice)
    raise ValueError("\n  ".join(lines))


def read_text(path: Path) -> str:
    """The content of a text file: UTF-8, or UTF-16 or UTF-32 as `encoding_of` tells (Excel).

    Raises:
        Fault: the file cannot be read, or holds other bytes; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise Fault("text", path, problem) from error
    if (kind := other_kind(content)) is not None:
        raise Fault("text", path, kind)
    try:
        return content.decode(encoding_of(content))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte, encoding = content[error.start], error.encoding.upper()
        problem = f"byte 0x{byte:02x} is not {encoding} text; save the file as UTF-8"
        raise Fault("text", f"{path}:{line}", problem) from error


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, without their ends. Errors as for `read_text`, before the first.

    A large file is not in memory as a whole.
    """
    if _is_large_utf8(path):
        return _lines_of_large(path)
    return (line.rstrip("\r") for line in read_text(path).split("\n"))


def _lines_of_large(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n").rstrip("\r")


def _is_large_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        if path.stat().st_size < _LARGE_FILE:
            return False
        with path.open("rb") as file:
            if not encoding_of(file.read(_FIRST_BYTES)).startswith("utf-8"):
                return False
            file.seek(0)
            while some := file.read(_BYTES_AT_ONCE):
                decoder.decode(some)
        decoder.decode(b"", final=True)
    except (OSError, UnicodeDecodeError):
        return False
    return True


def folder_entries(folder: Path, limit: int = 8) -> str:
    """What a folder holds, as text for messages about what was not found there."""
    if not folder.is_dir():
        return f"{folder} is not a directory"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{folder} holds {', '.join(names[:limit])}{more}"
