"""A snapshot of a run's jobs, from squeue, sacct and the run folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sesame_hpc.choices import JOBS
from sesame_hpc.launch.finished import is_finished
from sesame_hpc.launch.ledger import JobRecord, Ledger, Submission
from sesame_hpc.launch.queue import JobState, QueueError, query_sacct, query_squeue
from sesame_hpc.process import is_alive
from sesame_hpc.run.folder import RunFolder

__all__ = ["JobSnapshot", "active_jobs", "is_queue_unavailable", "snapshots_of"]

_Key = tuple[str | None, str]
"""A cluster of a federation, None without one, and a job's id."""

_UNKNOWN = "UNKNOWN"
_QUEUE = "SLURM's queue is not available"


@dataclass(frozen=True)
class JobSnapshot:
    """The last job of each stage that was ever submitted, in the order of the chain.

    `unknown` are sentences on what could not be determined, and why.
    """

    run: Path
    submissions: dict[str, Submission]
    records: dict[str, JobRecord]
    states: dict[str, JobState]
    unknown: tuple[str, ...]


def snapshots_of(ledgers: Sequence[Ledger]) -> list[JobSnapshot]:
    """Snapshots of several runs, with one query of SLURM for all."""
    latest = [_latest(ledger) for ledger in ledgers]
    jobs = [
        (record.cluster, record.job)
        for each in latest
        for submission, record in each.values()
        if submission.executor == "slurm" and record.job
    ]
    known, warnings = _query(jobs)
    return [
        _snapshot(ledger, each, known, warnings)
        for ledger, each in zip(ledgers, latest, strict=True)
    ]


def _latest(ledger: Ledger) -> dict[str, tuple[Submission, JobRecord]]:
    latest = ledger.latest()
    return {stage: latest[stage] for stage in JOBS if stage in latest}


def _snapshot(
    ledger: Ledger,
    latest: dict[str, tuple[Submission, JobRecord]],
    known: dict[_Key, JobState],
    warnings: tuple[str, ...],
) -> JobSnapshot:
    folder = RunFolder(ledger.run)
    states = {}
    for stage, (submission, record) in latest.items():
        if submission.executor == "local":
            state = _local(submission, record)
        else:
            state = _of_slurm(record, known)
        states[stage] = _corrected(folder, stage, state)
    lost = [stage for stage, state in states.items() if state.state == _UNKNOWN]
    unknown = warnings if lost else ()
    if lost and not warnings:
        unknown = (f"how {', '.join(lost)} of {ledger.run.name} ended",)
    return JobSnapshot(
        ledger.run,
        {stage: submission for stage, (submission, _) in latest.items()},
        {stage: record for stage, (_, record) in latest.items()},
        states,
        unknown,
    )


def is_queue_unavailable(unknown: Sequence[str]) -> bool:
    """Whether `unknown` of a snapshot says that SLURM's queue was not available."""
    return any(_QUEUE in text for text in unknown)


def active_jobs(snapshot: JobSnapshot) -> dict[str, str]:
    """{stage: job id} of what is queued or running.

    Raises ValueError if SLURM's queue is not available for a job that is not finished.
    """
    if is_queue_unavailable(snapshot.unknown):
        raise ValueError(
            f"whether jobs of {snapshot.run} are queued or running is not known: "
            + "; ".join(snapshot.unknown)
        )
    return {
        stage: state.job
        for stage, state in snapshot.states.items()
        if state.is_active and state.state != _UNKNOWN
    }


def _query(jobs: Sequence[_Key]) -> tuple[dict[_Key, JobState], tuple[str, ...]]:
    """The known states, and sentences on what is not known."""
    warnings = []
    known: dict[_Key, JobState] = {}
    for cluster in dict.fromkeys(cluster for cluster, _ in jobs):
        own = [job for other, job in jobs if other == cluster]
        found: dict[str, JobState] = {}
        try:
            found = query_squeue(own, cluster)
        except QueueError as error:
            warnings.append(f"{_QUEUE} ({error})")
        missing = [job for job in own if job not in found]
        if missing:
            try:
                found = query_sacct(missing, cluster) | found
            except QueueError as error:
                warnings.append(
                    "how jobs ended that squeue no longer lists: accounting is not available "
                    f"({error})"
                )
        known |= {(cluster, job): state for job, state in found.items()}
    return known, tuple(warnings)


def _of_slurm(record: JobRecord, known: dict[_Key, JobState]) -> JobState:
    assert record.job is not None
    state = known.get((record.cluster, record.job))
    if state is None or state.name != record.name:
        return JobState(record.job, _UNKNOWN)
    return state


def _local(submission: Submission, record: JobRecord) -> JobState:
    """A job of a local chain: as the chain recorded it, unless its process died before that."""
    assert submission.process is not None
    name = record.job or ""
    if record.end is not None:
        return JobState(name, record.end)
    alive = is_alive(submission.process)
    host = submission.process["host"]
    if alive is None:
        return JobState(name, _UNKNOWN, nodes=host)
    if record.job is None:
        return JobState(name, "PENDING" if alive else "CANCELLED")
    return JobState(name, "RUNNING" if alive else "FAILED", nodes=host)


def _corrected(folder: RunFolder, stage: str, state: JobState) -> JobState:
    """A job in an unknown state is completed if its result is in the run folder."""
    if state.state == _UNKNOWN and is_finished(folder, stage):
        return replace(state, state="COMPLETED")
    return state
