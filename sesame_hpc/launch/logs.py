"""The logs of a run's jobs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.snapshot import snapshots_of
from sesame_hpc.launch.sweep import read_sweep

__all__ = ["JobLog", "find_log", "follow"]

_POLL_SECONDS = 0.5
_ASK_SECONDS = 5.0


@dataclass(frozen=True)
class JobLog:
    """Where a rank of a stage's last job writes, whether or not the file is there yet."""

    run: Path
    stage: str
    job: str
    path: Path

    def is_active(self) -> bool:
        state = snapshots_of([Ledger(self.run)])[0].states[self.stage]
        return state.is_active and state.state != "UNKNOWN"


def find_log(run: Path, stage: str | None = None, rank: int = 0) -> JobLog:
    """Of the last job of `stage`, or of the latest stage that has begun to write.

    Raises ValueError where there is no such job or rank.
    """
    if points := read_sweep(run):
        raise ValueError(f"{run} is a sweep; name one of its runs, such as {run / points[0].name}")
    latest = Ledger(run).latest()
    if not latest:
        raise ValueError(f"{run} has no jobs: nothing was submitted for it")
    if stage is not None and stage not in latest:
        raise ValueError(f"{run} has no job of {stage}; there are {', '.join(latest)}")
    begun = [name for name, (_, record) in latest.items() if _exists(record.log(run, 0))]
    name = stage or (begun or list(latest))[-1]
    record = latest[name][1]
    if rank >= record.ranks:
        raise ValueError(f"--rank {rank}: {name} has the ranks 0 to {record.ranks - 1}")
    path = record.log(run, rank)
    if record.job is None or path is None:
        raise ValueError(f"{name} of {run} has not begun")
    return JobLog(run, name, record.job, path)


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def follow(log: JobLog, clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """What is in the log, and what is written to it until the job has ended."""
    position, asked, active = 0, clock(), log.is_active()
    while True:
        text, position = _read_from(log.path, position)
        if text:
            yield text
        elif not active:
            return
        elif clock() - asked >= _ASK_SECONDS:
            asked, active = clock(), log.is_active()
        else:
            time.sleep(_POLL_SECONDS)


def _read_from(path: Path, position: int) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            file.seek(position)
            content = file.read()
    except FileNotFoundError:
        return "", position
    return content.decode("utf-8", "replace"), position + len(content)
