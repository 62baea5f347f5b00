"""What a run was made of: the commands of its starts, and which data set it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sesame_hpc.run.data_identity import PARTS, fingerprint

__all__ = ["DataRow", "command_lines", "data_rows", "revision"]


@dataclass(frozen=True)
class DataRow:
    """A part of a data set, or all of it: what it is, its faces, its fingerprint."""

    title: str
    faces: int | None
    fingerprint: str


def data_rows(identity: dict[str, Any] | None) -> list[DataRow]:
    """The whole data set first, then its parts; nothing where the run recorded none."""
    if identity is None:
        return []
    rows = [
        DataRow(title, int(identity[name]["faces"]), fingerprint(identity[name]))
        for name, title in PARTS.items()
        if identity.get(name)
    ]
    return [DataRow("the whole, with scheme and crops", None, fingerprint(identity)), *rows]


def command_lines(starts: Sequence[dict[str, Any]]) -> list[str]:
    """The command of each start, each once, in the order of the starts."""
    return list(dict.fromkeys(str(start["command"]) for start in starts if start.get("command")))


def revision(start: dict[str, Any]) -> str | None:
    """ "81c905e with uncommitted changes"; None for code that is not from a checkout."""
    state = start.get("git")
    if not state:
        return None
    changed = " with uncommitted changes" if state.get("dirty") else ""
    return f"{state['revision'][:12]}{changed}"
