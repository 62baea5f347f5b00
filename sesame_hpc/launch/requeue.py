"""What follows an interruption: SLURM runs the job again, or the user runs the command again."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sesame_hpc.choices import STAGES
from sesame_hpc.distributed.interruption import (
    EXIT_SAVED,
    Interrupted,
    RanksLost,
    Stop,
    exit_when_saved,
    let_sigterm_end_us,
    listen,
)
from sesame_hpc.files import write_json_atomic
from sesame_hpc.launch.slurm_job import SlurmJob
from sesame_hpc.run.folder import RunFolder

__all__ = ["MAX_REQUEUES", "requeue_when_saved"]

MAX_REQUEUES = "SESAME_MAX_REQUEUES"
"""Environment variable: how often one job may be run again; 100 where it is not set."""

_DEFAULT_REQUEUES = 100
_FRUITLESS = 2
_SECONDS_TO_BE_KILLED = 300


@contextmanager
def requeue_when_saved(run: Path) -> Iterator[None]:
    """While training in the run folder `run` within a SLURM job: on a signal save, then requeue.

    SIGUSR2, as SLURM sends ahead of the time limit or a preemption: the job is requeued by rank 0,
    and every rank waits to be ended by SLURM, since a job whose tasks fail before the requeue
    takes effect would count as failed. Where the job cannot be requeued: exit code 75, the same
    command goes on. SIGTERM (scancel, shutdown): 75 without a requeue, unless SLURM is preempting
    the job and requeues it itself. Ranks that are lost without a word, with their node: the lowest
    that is left requeues. Outside a SLURM job this is `exit_when_saved`.

    Takes the place of signal handlers that are installed already, submitit's too. Main thread only.

    Raises:
        SystemExit: with code 75, see above.
        ValueError: no requeue, because SESAME_MAX_REQUEUES were had, or because two of them in a
            row brought no step.
    """
    job = SlurmJob.current()
    if job is None:
        with exit_when_saved():
            yield
        return
    listen()
    try:
        yield
    except Interrupted as interrupted:
        let_sigterm_end_us()
        _follow_up(interrupted, job, run)
        raise SystemExit(EXIT_SAVED) from None
    except RanksLost as lost:
        let_sigterm_end_us()
        if lost.leads:
            _requeue(job, run, str(lost))
        _wait_to_be_killed()
        raise


def _follow_up(interrupted: Interrupted, job: SlurmJob, run: Path) -> None:
    """Returns where the run's own end is the end."""
    if os.environ.get("RANK", "0") != "0":
        _wait_to_be_killed()
        return
    if interrupted.stop is Stop.PAUSE:
        _requeue(job, run, str(interrupted))
    elif job.is_being_preempted():
        _say(f"{interrupted}; SLURM is preempting job {job.name} and runs it again")
    else:
        _say(f"{interrupted}; SLURM ends job {job.name} ({job.state()})")
        return
    _wait_to_be_killed()


def _requeue(job: SlurmJob, run: Path, reason: str) -> None:
    """Raises SystemExit where the job is none that SLURM runs again, such as one of salloc."""
    requeues = _Requeues(run, job.name)
    requeues.check(job.restarts)
    _say(f"{reason}; requeueing job {job.name}")
    requeues.add()
    refusal = job.requeue()
    if refusal:
        _say(f"SLURM does not requeue job {job.name} ({refusal}); run the same command to go on")
        raise SystemExit(EXIT_SAVED)


def _wait_to_be_killed() -> None:
    time.sleep(_SECONDS_TO_BE_KILLED)
    _say(f"SLURM did not end this task within {_SECONDS_TO_BE_KILLED} s")


def _say(text: str) -> None:
    print(f"sesame: {text}", file=sys.stderr, flush=True)


class _Requeues:
    """How far the run was at each requeue of a job, in requeues.json of its folder."""

    def __init__(self, run: Path, job: str) -> None:
        self._file = run / "requeues.json"
        self._job = job
        self._run = RunFolder(run)
        self._all: dict[str, list[Any]] = (
            json.loads(self._file.read_text()) if self._file.exists() else {}
        )

    def check(self, restarts: int) -> None:
        """Raise ValueError where another requeue would be one too many."""
        limit = int(os.environ.get(MAX_REQUEUES, str(_DEFAULT_REQUEUES)))
        if restarts >= limit:
            raise ValueError(
                f"job {self._job} was restarted {restarts} times, and {MAX_REQUEUES} is {limit}; "
                "the run is saved, submit it again to go on"
            )
        recent = self._all.get(self._job, [])[-_FRUITLESS:]
        now = self._progress()
        if len(recent) == _FRUITLESS and all(earlier == now for earlier in recent):
            raise ValueError(
                f"job {self._job} was requeued {_FRUITLESS} times without completing a step, now "
                f"at {now}: give it more time, or a signal that comes less early; the run is saved"
            )

    def add(self) -> None:
        mine = [*self._all.get(self._job, []), self._progress()]
        write_json_atomic(self._file, self._all | {self._job: mine})

    def _progress(self) -> dict[str, str]:
        """{stage: newest checkpoint, or "finished"}."""
        found: dict[str, str] = {}
        for stage in STAGES:
            latest = self._run.stage(stage) / "latest.json"
            if self._run.result(stage) is not None:
                found[stage] = "finished"
            elif latest.exists():
                found[stage] = json.loads(latest.read_text())["tag"]
        return found
