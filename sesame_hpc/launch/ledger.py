"""`jobs.json` of a run: its submitted jobs."""

import json
import os
import re
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sesame_hpc.files import write_json_atomic
from sesame_hpc.launch.successors import last_of, read_successors

__all__ = ["LEDGER", "JobRecord", "Ledger", "Submission"]

LEDGER = "jobs.json"

Executor = Literal["slurm", "local"]


@dataclass(frozen=True)
class JobRecord:
    """One job: `job` is its id, "12" or "12_3" in an array, None while a local one waits.

    `name` is its SLURM job name, since ids are reused, as on a cluster that was set up again.
    `logs` is the path of a rank's log with %t for the rank, relative to the run folder. `end` is
    the final state of a local job, by SLURM's name for it. `cluster` is that of a federation to
    which sbatch sent the job.
    """

    stage: str
    job: str | None
    nodes: int
    ranks: int
    logs: str | None
    dependency: str | None = None
    name: str | None = None
    end: str | None = None
    cluster: str | None = None

    def log(self, run: Path, rank: int) -> Path | None:
        return None if self.logs is None else run / self.logs.replace("%t", str(rank))


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together, from the working directory `directory`.

    `process` identifies the process of a local chain, as `processes.identity` gives it.
    """

    executor: Executor
    profile: str | None
    directory: str
    command: str
    jobs: tuple[JobRecord, ...]
    time: str
    process: dict[str, Any] | None = None

    @classmethod
    def now(
        cls,
        executor: Executor,
        profile: str | None,
        jobs: tuple[JobRecord, ...],
        process: dict[str, Any] | None = None,
    ) -> "Submission":
        """A submission by the command line of this process."""
        time = datetime.now().astimezone().isoformat("T", "seconds")
        directory, command = str(Path.cwd()), shlex.join(sys.argv)
        return cls(executor, profile, directory, command, jobs, time, process)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Submission":
        jobs = tuple(JobRecord(**job) for job in value["jobs"])
        return cls(**{**value, "jobs": jobs})


class Ledger:
    """The submissions of one run folder, oldest first."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.path = run / LEDGER

    def submissions(self) -> list[Submission]:
        """[] if nothing was submitted. ValueError for an invalid file."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return [Submission.from_json(value) for value in json.loads(text)["submissions"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path}: not a list of jobs: {error!r}") from None

    def add(self, submission: Submission) -> None:
        self._write([*self.submissions(), submission])

    def set_job(self, record: JobRecord) -> None:
        """Replace the stage's record in the latest submission."""
        *earlier, last = self.submissions()
        jobs = tuple(record if job.stage == record.stage else job for job in last.jobs)
        self._write([*earlier, replace(last, jobs=jobs)])

    def latest(self) -> dict[str, tuple[Submission, JobRecord]]:
        """The last submission of each stage that was ever submitted.

        A job that SLURM did not requeue stands under the id of the one that continues it.
        """
        return {
            job.stage: (submission, self._continued(job))
            for submission in self.submissions()
            for job in submission.jobs
        }

    def _continued(self, record: JobRecord) -> JobRecord:
        if record.job is None or record.logs is None:
            return record
        successors = read_successors((self.run / record.logs).parent)
        job, task = last_of(record.job, successors), record.job.partition("_")[2]

        def awaited(found: re.Match[str]) -> str:
            own = f"{found[0]}_{task}" if task else found[0]
            return last_of(own, successors).split("_")[0]

        return replace(
            record,
            job=job,
            logs=record.logs.replace(f"{record.job}_%t", f"{job}_%t"),
            dependency=record.dependency and re.sub(r"\d+", awaited, record.dependency),
        )

    def relative(self, path: Path) -> str:
        """A log's path relative to the run folder, as in records."""
        return os.path.relpath(path, self.run)

    def _write(self, submissions: list[Submission]) -> None:
        write_json_atomic(self.path, {"submissions": [asdict(each) for each in submissions]})
