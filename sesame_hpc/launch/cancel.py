"""Cancel the jobs of runs."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.choices import JOBS
from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.local_chain import is_chain_of
from sesame_hpc.launch.slurm_commands import cancel
from sesame_hpc.launch.snapshot import JobSnapshot, active_jobs, snapshots_of
from sesame_hpc.process import is_alive

__all__ = ["Cancelled", "cancel_jobs"]


@dataclass(frozen=True)
class Cancelled:
    run: Path
    stage: str
    job: str
    state: str


def cancel_jobs(runs: Sequence[Path], first: str | None = None) -> list[Cancelled]:
    """Cancel the queued and running jobs of `runs`, of all stages or from stage `first` on.

    A running stage saves at the end of its step if SLURM gives it the time. A chain on this machine
    ends as a whole. Raises ValueError if SLURM is unavailable or refuses, or if jobs.json names a
    process that is not the run's own, which is not signalled.
    """
    wanted = JOBS[JOBS.index(first) :] if first else JOBS
    ended = []
    ids: dict[str | None, list[str]] = {}
    for snapshot in snapshots_of([Ledger(run) for run in runs]):
        for stage, job in active_jobs(snapshot).items():
            if stage not in wanted:
                continue
            ended.append(Cancelled(snapshot.run, stage, job, snapshot.states[stage].state))
            if snapshot.submissions[stage].executor == "local":
                _stop_chain(snapshot, stage)
            else:
                ids.setdefault(snapshot.records[stage].cluster, []).append(job)
    for cluster, jobs in ids.items():
        cancel(jobs, cluster)
    return ended


def _stop_chain(snapshot: JobSnapshot, stage: str) -> None:
    process = snapshot.submissions[stage].process
    assert process is not None
    if not is_alive(process):
        return
    if not is_chain_of(process["pid"], snapshot.run):
        raise ValueError(
            f"{Ledger(snapshot.run).path}: process {process['pid']} does not run the jobs of "
            f"{snapshot.run}, and was not signalled"
        )
    os.kill(process["pid"], signal.SIGTERM)
