"""The chain on this machine: a background process that runs the jobs of a plan in order.

A failed stage ends its run's chain, as a failed dependency does in SLURM; in a sweep, the next
point starts. `python -m sesame_hpc.launch.local_chain RUN...` is that process.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from sesame_hpc.launch.finished import is_finished
from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.ledger import JobRecord, Ledger, Submission
from sesame_hpc.launch.plan import Plan
from sesame_hpc.launch.profile import Profile
from sesame_hpc.launch.reservation import reserved
from sesame_hpc.launch.slurm import log_pattern, run_here
from sesame_hpc.launch.submit import LOGS, write_runs
from sesame_hpc.process import command_of, identity
from sesame_hpc.run.folder import RunFolder

__all__ = ["is_chain_of", "start_chain"]

_CHAIN_LOG = "chain.log"
_POLL_SECONDS = 0.2


def start_chain(plan: Plan, name: str | None, profile: Profile) -> int:
    """Start the background process, record it in each run's jobs.json, and return its process id.

    Ranks are the profile's tasks per node; without a profile, one per GPU here, or one. ValueError
    as `reserved`.
    """
    with reserved(plan):
        return _start_chain(plan, name, profile)


def _start_chain(plan: Plan, name: str | None, profile: Profile) -> int:
    write_runs(plan)
    folders = [run.folder.path for run in plan.runs]
    log = plan.output / LOGS / _CHAIN_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *map(str, folders)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    records = tuple(_record(stage, name, profile) for stage in plan.jobs)
    for folder in folders:
        started = identity(process.pid)
        Ledger(folder).add(Submission.now("local", name, records, process=started))
    assert process.stdin is not None
    process.stdin.close()
    return process.pid


def is_chain_of(pid: int, run: Path) -> bool:
    """Whether a process is a chain that `start_chain` started for `run`, by its command line."""
    command = command_of(pid)
    if command is None:
        return False
    arguments, directory = command
    runs = [(directory / each).resolve() for each in arguments[3:]]
    return arguments[1:3] == ["-m", __name__] and run.resolve() in runs


def _record(stage: str, name: str | None, profile: Profile) -> JobRecord:
    ranks = profile.resources(stage).ranks_per_node
    if name is None and stage != "report":
        ranks = max(1, len(_gpus()))
    return JobRecord(stage=stage, job=None, nodes=1, ranks=ranks, logs=None)


def _gpus() -> list[int]:
    """Indices of the NVIDIA devices that are visible to jobs."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [int(each) for each in chosen.split(",") if each.strip().isdecimal()]
    return list(range(len(list(Path("/dev").glob("nvidia[0-9]*")))))


class _Chain:
    """The background process; on SIGTERM the running job saves, and later ones are cancelled."""

    def __init__(self) -> None:
        self._stopped = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True

    def run(self, folder: Path) -> None:
        """Run the jobs of the folder's last submission, which is this process's own."""
        ledger = Ledger(folder)
        submission = ledger.submissions()[-1]
        assert submission.process is not None
        assert submission.process["pid"] == os.getpid()
        ends: list[str] = []
        for record in submission.jobs:
            if self._stopped or (ends and ends[-1] != "COMPLETED"):
                ledger.set_job(replace(record, end="CANCELLED"))
                continue
            ends.append(self._run_job(ledger, record))

    def _run_job(self, ledger: Ledger, record: JobRecord) -> str:
        logs = ledger.run / LOGS
        job = run_here(StageJob(str(ledger.run), record.stage), logs, record.ranks, _gpus())
        log = ledger.relative(log_pattern(logs, job.job_id))
        record = replace(record, job=job.job_id, logs=log)
        ledger.set_job(record)
        signalled = False
        while not job.done():
            time.sleep(_POLL_SECONDS)
            if self._stopped and not signalled:
                os.kill(int(job.job_id), signal.SIGTERM)
                signalled = True
        done = is_finished(RunFolder(ledger.run), record.stage)
        end = "COMPLETED" if done else "CANCELLED" if signalled else "FAILED"
        ledger.set_job(replace(record, end=end))
        return end


def _main(runs: Sequence[str]) -> None:
    """Run the chains once standard input is closed: by then jobs.json is written."""
    chain = _Chain()
    sys.stdin.read()
    for run in runs:
        chain.run(Path(run))


if __name__ == "__main__":
    _main(sys.argv[1:])
