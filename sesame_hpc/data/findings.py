"""`Finding`: one thing that a reader or a check has to say about a data set.

Three words, each for one thing. A *fault* (`formats/faults.py`) is the exception for a face, or a
file, that cannot be read. A *finding* is what `sesame data check` reports: each fault as an error,
and whatever else it notices. A *problem* is only text: the part of a message that says what is
wrong, with a setting, a row or a run as well.
"""

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
