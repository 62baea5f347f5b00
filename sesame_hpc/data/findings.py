"""`Finding`: one thing that a reader or a check has to say about a data set."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["LEVELS", "Finding", "Level"]

Level = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """What was found at `place` ("file:line", "file:key" or a file).

    An error keeps a face from being used or makes its figures wrong; a warning is likely to; a
    note is good to know. `related` are the places of other faces or files that the message speaks
    of. `value` is the number behind it, in the unit that the message names.
    """

    level: Level
    check: str
    place: str
    message: str
    related: tuple[str, ...] = ()
    value: float | None = None
