"""After an interruption: SLURM requeues the job, or the user repeats the command."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from sesame_hpc.choices import STAGES
from sesame_hpc.distributed.interruption import (
    EXIT_SAVED,
    Interrupted,
    RanksLost,
    Stop,
    exit_when_saved,
    listen,
    restore_sigterm,
)
from sesame_hpc.distributed.node_faults import EXCLUDE_BAD_NODES, faulty_nodes
from sesame_hpc.files import read_json, write_json_atomic, write_text_atomic
from sesame_hpc.launch.slurm_job import SlurmJob
from sesame_hpc.launch.successors import JOB_FOLDER, first_of, read_successors
from sesame_hpc.printable import say
from sesame_hpc.run.folder import RunFolder

__all__ = ["MAX_REQUEUES", "MIN_PROGRESS", "REQUEUE_FILE", "requeue_when_saved"]

MAX_REQUEUES = "SESAME_MAX_REQUEUES"
"""Environment variable: how often one job may be requeued; 100 if not set."""

MIN_PROGRESS = "SESAME_MIN_PROGRESS"
"""Environment variable: the share of a stage's steps that must be completed between two requeues;
0.001 if not set."""

REQUEUE_FILE = "SESAME_REQUEUE_FILE"
"""Environment variable, set by batch scripts that requeue their job (batch_requeue.sh): the file by
which rank 0 asks for it."""

_DEFAULT_REQUEUES, _DEFAULT_PROGRESS = 100, 0.001
_FRUITLESS = 2
_SECONDS_TO_BE_KILLED = 300


@contextmanager
def requeue_when_saved(run: Path) -> Iterator[None]:
    """While training in the run folder `run` within a SLURM job: on a signal save, then requeue.

    SIGUSR2, which SLURM sends before the time limit or a preemption: rank 0 writes the file
    SESAME_REQUEUE_FILE, by which the batch script requeues the job. Where the script does not do
    that, rank 0 requeues the job itself, and every rank waits for SLURM to end it, since a job
    whose tasks fail before the requeue takes effect would count as failed. If the job cannot be
    requeued: exit code 75, and the same command resumes. SIGTERM (scancel, shutdown): 75 without a
    requeue, unless SLURM is preempting the job. If ranks are lost with their node, the lowest
    remaining one requeues. Where an error shows that a node is faulty, the batch script submits the
    job again without it, if SESAME_EXCLUDE_BAD_NODES is set. Outside a SLURM job this is
    `exit_when_saved`.

    Replaces signal handlers that are installed already, including submitit's. Main thread only.

    Raises:
        SystemExit: with code 75, see above; with code 0 on ranks other than 0 if the batch script
            goes on, since srun ends all ranks when one fails.
        ValueError: no requeue, because there were SESAME_MAX_REQUEUES of them already, or because
            the last two brought less than SESAME_MIN_PROGRESS of a stage.
    """
    job = SlurmJob.current()
    if job is None:
        with exit_when_saved(RunFolder(run).last_saved):
            yield
        return
    listen()
    try:
        yield
    except Interrupted as interrupted:
        restore_sigterm()
        _follow_up(interrupted, job, run)
        raise SystemExit(EXIT_SAVED) from None
    except RanksLost as lost:
        restore_sigterm()
        if lost.leads:
            _requeue(job, run, str(lost), at_once=True)
        _wait_to_be_killed()
        raise
    except Exception as error:
        _note_faulty_nodes(error)
        raise


def _note_faulty_nodes(error: Exception) -> None:
    """Tell the batch script which nodes to exclude, where the profile has exclude_bad_nodes.

    Every rank that knows of one does: those of other nodes may be ended before they hear of it.
    """
    path, nodes = os.environ.get(REQUEUE_FILE), faulty_nodes(error)
    if path is None or EXCLUDE_BAD_NODES not in os.environ or not nodes:
        return
    rank = os.environ.get("RANK") or os.environ.get("SLURM_PROCID", "0")
    try:
        write_text_atomic(f"{path}.bad.{rank}", "".join(f"{node}\n" for node in nodes))
    except OSError as problem:
        _print(f"the batch script cannot be told of faulty nodes: {problem}")


def _follow_up(interrupted: Interrupted, job: SlurmJob, run: Path) -> None:
    """Requeue, or wait for SLURM to end this task; returns if neither applies."""
    is_first, script_follows_up = os.environ.get("RANK", "0") == "0", REQUEUE_FILE in os.environ
    if not is_first and script_follows_up:
        raise SystemExit(0)
    if not is_first:
        _wait_to_be_killed()
        return
    if interrupted.stop is not Stop.PAUSE and script_follows_up:
        _print(f"{interrupted}; job {job.name} was told to end")
        return
    if interrupted.stop is Stop.PAUSE:
        _requeue(job, run, str(interrupted), at_once=not script_follows_up)
    elif job.is_being_preempted():
        _requeue(job, run, f"{interrupted}, because SLURM preempts the job", at_once=True)
    else:
        _print(f"{interrupted}; SLURM ends job {job.name} ({job.state()})")
        return
    _wait_to_be_killed()


def _requeue(job: SlurmJob, run: Path, reason: str, at_once: bool) -> None:
    """`at_once` from this process, where there is scontrol; else by the batch script.

    Raises SystemExit if the batch script is to requeue the job, or SLURM cannot, as one of salloc.
    """
    requeues = _Requeues(run, job.name)
    requeues.check(job.restarts)
    _print(f"{reason}; requeueing job {job.name}")
    requeues.add()
    refusal = job.requeue() if at_once else None
    if (refusal or not at_once) and _ask_batch_script(reason):
        raise SystemExit(EXIT_SAVED)
    if not at_once:
        refusal = job.requeue()
    if refusal:
        _print(f"SLURM does not requeue job {job.name} ({refusal}); run the same command to resume")
        raise SystemExit(EXIT_SAVED)


def _ask_batch_script(reason: str) -> bool:
    """Whether there is one that requeues the job, and it could be asked to."""
    path = os.environ.get(REQUEUE_FILE)
    if path is None:
        return False
    try:
        write_text_atomic(path, f"{reason}\n")
    except OSError as error:
        _print(f"the batch script cannot be asked to requeue the job: {error}")
        return False
    return True


def _wait_to_be_killed() -> None:
    time.sleep(_SECONDS_TO_BE_KILLED)
    _print(f"SLURM did not end this task within {_SECONDS_TO_BE_KILLED} s")


def _print(text: str) -> None:
    say(f"sesame: {text}", err=True)


class _Requeues:
    """The run's progress at each requeue of a job, in requeues.json of its folder.

    A job that continues another, which SLURM did not requeue, is counted with it.
    """

    def __init__(self, run: Path, job: str) -> None:
        self._file = run / "requeues.json"
        self._job = job
        folder = os.environ.get(JOB_FOLDER)
        self._first = first_of(job, read_successors(Path(folder))) if folder else job
        self._run = RunFolder(run)
        self._all: dict[str, list[Any]] = _counted_before(self._file)

    def check(self, restarts: int) -> None:
        """Raise ValueError if another requeue would be one too many."""
        limit = int(os.environ.get(MAX_REQUEUES, str(_DEFAULT_REQUEUES)))
        earlier = self._all.get(self._first, [])
        if (count := max(restarts, len(earlier))) >= limit:
            raise ValueError(
                f"job {self._job} was restarted {count} times, and {MAX_REQUEUES} is {limit}; "
                "the run is saved; submit it again to resume"
            )
        recent = earlier[-_FRUITLESS:]
        now = self._progress()
        least = float(os.environ.get(MIN_PROGRESS, str(_DEFAULT_PROGRESS)))
        gains = [_gain(before, after) for before, after in pairwise([*recent, now])]
        if len(recent) == _FRUITLESS and (not any(gains) or max(gains) < least):
            too_little = (
                f"with less than {100 * least:g} % of a stage's steps each ({MIN_PROGRESS})"
            )
            raise ValueError(
                f"job {self._job} was requeued {_FRUITLESS} times "
                f"{too_little if any(gains) else 'without completing a step'}, now at {now}: "
                "raise its time limit, or send the signal later; the run is saved"
            )

    def add(self) -> None:
        mine = [*self._all.get(self._first, []), self._progress()]
        write_json_atomic(self._file, self._all | {self._first: mine})

    def _progress(self) -> dict[str, str]:
        """{stage: newest checkpoint and of how many steps, or "finished"}."""
        found = {stage: self._run.progress(stage) for stage in STAGES}
        return {stage: each for stage, each in found.items() if each is not None}


def _gain(before: dict[str, str], after: dict[str, str]) -> float:
    """The share of a stage's steps by which `after` is ahead, of the stage that gained most.

    1 where it changed and the number of steps is not known.
    """
    shares = ((_share(before.get(stage)), _share(now)) for stage, now in after.items())
    changed = [stage for stage, now in after.items() if before.get(stage) != now]
    if not changed:
        return 0.0
    known = [(one, other) for one, other in shares if one is not None and other is not None]
    if len(known) < len(after):
        return 1.0
    return max(other - one for one, other in known)


def _share(progress: str | None) -> float | None:
    if progress is None or progress == "finished":
        return float(progress is not None)
    found = re.fullmatch(r"step-(\d+) of ([1-9]\d*)", progress)
    return int(found[1]) / int(found[2]) if found else None


def _counted_before(path: Path) -> dict[str, list[Any]]:
    """{job: progress at each requeue}; what a damaged file counted is forgotten."""
    try:
        found = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
