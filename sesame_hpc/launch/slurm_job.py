"""The SLURM job that this process is part of."""

import os
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Self

__all__ = ["NO_ANSWER", "SlurmJob"]

_SECONDS, _SECONDS_FOR_HISTORY = 60, 10
_SECONDS_TO_ASK, _PAUSE = 300, 3
_RUNNING = ("RUNNING", "SIGNALING")
_RUNNING_OR_UNKNOWN = (*_RUNNING, "")
NO_ANSWER = re.compile(
    "contact|connect|timed out|standby|socket|zero bytes|communication|authentication|temporarily",
    re.IGNORECASE,
)
"""What SLURM's commands print when the controller does not answer, and not that it refuses."""


@dataclass(frozen=True)
class SlurmJob:
    """`name` is the id for scontrol: 17, or 17_3 for a task of an array."""

    name: str
    restarts: int

    @classmethod
    def current(cls) -> Self | None:
        """None outside SLURM."""
        if "SLURM_JOB_ID" not in os.environ:
            return None
        array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
        name = f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]
        return cls(name, int(os.environ.get("SLURM_RESTART_COUNT", "0")))

    def requeue(self) -> str | None:
        """Requeue the job; returns the reason if SLURM refuses, else None.

        Does nothing for a job that SLURM is requeueing or ending already, or has restarted, as it
        does when it loses a node whose tasks still run. Asks for five minutes while the controller
        does not answer.
        """
        end = time.monotonic() + _SECONDS_TO_ASK
        while (refusal := self._requeue()) and NO_ANSWER.search(refusal):
            if time.monotonic() > end:
                break
            time.sleep(_PAUSE)
        return refusal

    def _requeue(self) -> str | None:
        is_over = self.state() not in _RUNNING_OR_UNKNOWN
        if is_over or self._field("Restarts") not in ("", str(self.restarts)):
            return None
        refusal = _scontrol("requeue", self.name)[1]
        return refusal if refusal and self.state() in _RUNNING_OR_UNKNOWN else None

    def state(self) -> str:
        """Such as RUNNING or CANCELLED; empty if unknown."""
        return self._field("JobState")

    def is_being_preempted(self) -> bool:
        """Whether it is still running, in its grace time."""
        preempted = self._field("PreemptTime") not in ("", "None", "N/A")
        return preempted and self.state() in _RUNNING

    def queue_seconds(self) -> float | None:
        """How long it waited once it could have started; None where SLURM does not say soon."""
        shown = _scontrol("show", "job", self.name, "-o", seconds=_SECONDS_FOR_HISTORY)[0]
        found = dict(re.findall(r"\b(EligibleTime|StartTime)=(\S+)", shown))
        try:
            eligible, start = (
                datetime.fromisoformat(found[name]) for name in ("EligibleTime", "StartTime")
            )
        except (KeyError, ValueError):
            return None
        return max(0.0, (start - eligible).total_seconds())

    def _field(self, name: str) -> str:
        """A field of `scontrol show job`; empty if it is missing."""
        found = re.search(rf"\b{name}=(\S+)", _scontrol("show", "job", self.name, "-o")[0])
        return found[1] if found else ""


def _scontrol(*arguments: str, seconds: float = _SECONDS) -> tuple[str, str]:
    """Its output, and its error: empty if it succeeded."""
    try:
        done = subprocess.run(
            ["scontrol", *arguments], capture_output=True, text=True, timeout=seconds
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(error)
    return done.stdout, (done.stderr.strip() or "unknown") if done.returncode else ""
