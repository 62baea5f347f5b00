"""The logs of a run's jobs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.directories import no_directory
from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.snapshot import snapshots_of
from sesame_hpc.launch.sweep import read_sweep

__all__ = ["JobLog", "find_log", "follow"]

_POLL_SECONDS = 0.5
_QUERY_SECONDS = 5.0


@dataclass(frozen=True)
class JobLog:
    """The log of a rank of a stage's last job; the file may not exist yet."""

    run: Path
    stage: str
    job: str
    path: Path

    def is_active(self) -> bool:
        state = snapshots_of([Ledger(self.run)])[0].states[self.stage]
        return state.is_active and state.state != "UNKNOWN"


def find_log(run: Path, stage: str | None = None, rank: int = 0) -> JobLog:
    """The log of the last job of `stage`, or of the latest stage that has a log.

    Raises FileNotFoundError for a missing folder, ValueError for an unknown job or rank.
    """
    if not run.is_dir():
        raise FileNotFoundError(f"{no_directory(run)}; give a run folder")
    if points := read_sweep(run):
        raise ValueError(f"{run} is a sweep; name one of its runs, such as {run / points[0].name}")
    latest = Ledger(run).latest()
    if not latest:
        raise ValueError(f"{run} has no jobs: nothing was submitted for it")
    if stage is not None and stage not in latest:
        raise ValueError(f"{run} has no job of {stage}; it has jobs of {', '.join(latest)}")
    begun = [name for name, (_, record) in latest.items() if _exists(record.log(run, 0))]
    name = stage or (begun or list(latest))[-1]
    record = latest[name][1]
    if rank >= record.ranks:
        raise ValueError(f"--rank {rank}: {name} has ranks 0 to {record.ranks - 1}")
    path = record.log(run, rank)
    if record.job is None or path is None:
        raise ValueError(f"{name} of {run} has not started")
    return JobLog(run, name, record.job, path)


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def follow(log: JobLog, clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """The log's text so far, and what is appended until the job has ended."""
    position, queried, active = 0, clock(), log.is_active()
    while True:
        text, position = _read_from(log.path, position)
        if text:
            yield text
        elif not active:
            return
        elif clock() - queried >= _QUERY_SECONDS:
            queried, active = clock(), log.is_active()
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
