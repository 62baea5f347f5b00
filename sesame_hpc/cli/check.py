"""One finding of `sesame doctor`."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Status"]


class Status(StrEnum):
    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """What was looked at, how it stands, what was found, and what to do about it ("": nothing).

    `NOTE` is for what only some uses need; `BROKEN` for what training does not run without.
    """

    name: str
    status: Status
    found: str
    fix: str = ""
