"""Faults of a data set, collected so that one message names several; and the reading of text."""

from pathlib import Path

__all__ = ["Faults", "folder_entries", "read_lines"]


class Faults:
    """Faults found while reading `what`; each begins with its place ("file:line" or a file)."""

    def __init__(self, what: str, shown: int = 10) -> None:
        self._what = what
        self._shown = shown
        self._faults: list[str] = []

    def add(self, fault: str) -> None:
        """Note a fault."""
        self._faults.append(fault)

    def raise_if_any(self) -> None:
        """Raise a ValueError that lists the first faults and counts all of them."""
        if not self._faults:
            return
        lines = [f"{self._what}: {len(self._faults)} fault{'s' * (len(self._faults) > 1)}"]
        lines += self._faults[: self._shown]
        if (more := len(self._faults) - self._shown) > 0:
            lines.append(f"and {more} more")
        raise ValueError("\n  ".join(lines))


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file (a byte order mark is allowed), without their ends.

    Raises:
        ValueError: the file holds other bytes; the message names the line.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8 text"
        ) from error


def folder_entries(folder: Path, limit: int = 8) -> str:
    """What a folder holds, in words, for messages about what was not found there."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{folder} holds {', '.join(names[:limit])}{more}"
