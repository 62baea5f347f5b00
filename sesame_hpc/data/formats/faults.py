"""Faults: faces or files that cannot be read, collected so that one message names several."""

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

__all__ = ["Fault", "FaultKind", "folder_entries", "raise_faults", "read_lines", "read_text"]

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
    """The content of a text file: UTF-8, or UTF-16 with its byte order mark (Excel).

    Raises:
        Fault: the file cannot be read, or holds other bytes; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise Fault("text", path, problem) from error
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte, encoding = content[error.start], error.encoding.upper()
        problem = f"byte 0x{byte:02x} is not {encoding} text; save the file as UTF-8"
        raise Fault("text", f"{path}:{line}", problem) from error


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends. Errors as for `read_text`."""
    return [line.rstrip("\r") for line in read_text(path).split("\n")]


def folder_entries(folder: Path, limit: int = 8) -> str:
    """What a folder holds, as text for messages about what was not found there."""
    if not folder.is_dir():
        return f"{folder} is not a directory"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{folder} holds {', '.join(names[:limit])}{more}"
