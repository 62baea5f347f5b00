"""A run that was submitted to the local cluster, and what happens to it there."""

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from slurm_cluster_helpers import LocalCluster, until
from slurm_runs import TrainingRun, resumed_steps

__all__ = ["Submitted", "node_folders", "stopped"]


def node_folders(folder: Path) -> Path:
    """A prolog of tasks by which each node has a temporary folder of its own, `folder`/NODE."""
    for node in ("n0", "n1"):
        (folder / node).mkdir()
    prolog = folder / "prolog"
    prolog.write_text(f'#!/bin/sh\necho "export TMPDIR={folder}/$SLURMD_NODENAME"\n')
    prolog.chmod(0o755)
    return prolog


@contextmanager
def stopped(cluster: LocalCluster, job: int) -> Iterator[None]:
    """The job's tasks make no steps within the block."""
    tasks = list(cluster.tasks(job))
    _send(signal.SIGSTOP, tasks)
    try:
        yield
    finally:
        _send(signal.SIGCONT, tasks)


def _send(number: signal.Signals, processes: Sequence[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


class Submitted:
    """A run whose four jobs are in the queue, by the profile `profile` (YAML)."""

    def __init__(self, cluster: LocalCluster, run: TrainingRun, profile: str) -> None:
        self.cluster, self.run = cluster, run
        file = run.config.with_suffix(".profile.yaml")
        file.write_text(profile)
        shown = cluster.run("sesame", "submit", str(run.config), "--profile", str(file))
        self.jobs = {stage: int(job) for stage, job in re.findall(r"(\w+) +job (\d+)", shown)}

    def log(self, stage: str) -> str:
        """What the stage has printed; a job runs before its log is there."""
        file = self.run.folder / "logs" / f"{self.jobs[stage]}_0_log.out"
        return file.read_text() if file.exists() else ""

    def restarts(self, stage: str) -> int:
        return int(self.cluster.job(self.jobs[stage])["Restarts"])

    def disturb(self, stage: str, disturb: Callable[[int], object], loses: int) -> None:
        """Do `disturb` to the stage's job when it has made 30 steps more; it must be requeued, and
        go on from at most `loses` steps before the last that it had made.

        The tasks are stopped meanwhile, else the stage might end before SLURM acts; SLURM wakes
        them itself before it preempts or ends them.
        """
        self.cluster.wait(self.jobs[stage], "RUNNING")
        restarts = self.restarts(stage)
        self.run.wait_for_step(stage, self.resumed(stage)[restarts] + 30)
        with stopped(self.cluster, self.jobs[stage]):
            disturb(self.jobs[stage])
        until(lambda: self.restarts(stage) > restarts, 240, f"{stage} to be requeued")
        until(lambda: len(self.resumed(stage)) > restarts + 1, 240, "it to go on")
        begun = datetime.fromisoformat(self.cluster.job(self.jobs[stage])["StartTime"])
        last = self.run.last_step(stage, before=begun.timestamp())
        assert last - self.resumed(stage)[-1] <= loses

    def resumed(self, stage: str) -> list[int]:
        """From which step each start of the stage went on; 0 for the first."""
        return [0, *resumed_steps(self.log(stage), stage)]

    def wait(self) -> None:
        for job in self.jobs.values():
            self.cluster.wait(job, "COMPLETED")
