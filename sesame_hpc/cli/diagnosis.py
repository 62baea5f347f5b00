"""One diagnosis of `sesame doctor`."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Diagnosis", "Status"]


class Status(StrEnum):
    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Diagnosis:
    """What was examined, its status, what was found, and what to do about it ("": nothing).

    `NOTE`: only some uses need it. `BROKEN`: training does not run without it.
    """

    name: str
    status: Status
    found: str
    fix: str = ""
