"""Waiting for the end of submitted chains."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sesame_hpc.launch.snapshot import is_queue_unavailable
from sesame_hpc.launch.status import RunStatus, status_of

__all__ = ["wait_for_end"]

_EVERY_SECONDS = 10.0


def wait_for_end(
    runs: Sequence[Path],
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> list[RunStatus]:
    """Wait until no job of `runs` is queued or running; their status then.

    `tell` gets a line at each change of a job's state. While SLURM's queue is not available, the
    jobs count as running.
    """
    told: dict[tuple[Path, str], str] = {}
    while True:
        statuses = status_of(runs)
        for status in statuses:
            for stage in status.stages:
                state, key = stage.state or "", (status.run, stage.stage)
                if stage.job and state not in ("UNKNOWN", told.get(key)):
                    told[key] = state
                    tell(f"{status.run}: {stage.stage} (job {stage.job}) {_plain(state)}")
        if not any(status.is_active or is_queue_unavailable(status.unknown) for status in statuses):
            return statuses
        sleep(_EVERY_SECONDS)


def _plain(state: str) -> str:
    return state.lower().replace("_", " ")
