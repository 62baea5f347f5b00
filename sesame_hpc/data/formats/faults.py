"""Faults of a data set, collected so that one message names several; and the reading of text."""

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
    """One fault of a file that keeps a face from being used.

    `kind` groups faults for reports; `place` is "file:line", "file:key" or a file; `problem` says
    what is wrong and what would be valid.
    """

    def __init__(self, kind: FaultKind, place: str | Path, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.kind: FaultKind = kind
        self.place = str(place)
        self.problem = problem


def raise_faults(what: str, faults: Sequence[Fault], shown: int = 10) -> None:
    """Raise a ValueError that lists the first faults of `what` and counts all; none: return."""
    if not faults:
        return
    lines = [f"{what}: {len(faults)} fault{'s' * (len(faults) > 1)}"]
    lines += [str(fault) for fault in faults[:shown]]
    if (more := len(faults) - shown) > 0:
        lines.append(f"and {more} more")
    raise ValueError("\n  ".join(lines))


def read_text(path: Path) -> str:
    """The content of a UTF-8 text file; a byte order mark is allowed.

    Raises:
        Fault: the file cannot be read, or holds other bytes; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Fault("text", path, f"cannot be read ({error.strerror or error})") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        raise Fault("text", f"{path}:{line}", f"byte 0x{byte:02x} is not UTF-8 text") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends. Errors as for `read_text`."""
    return [line.rstrip("\r") for line in read_text(path).split("\n")]


def folder_entries(folder: Path, limit: int = 8) -> str:
    """What a folder holds, in words, for messages about what was not found there."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{folder} holds {', '.join(names[:limit])}{more}"
