"""`jobs.json` of a run: its submitted jobs."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from sesame_hpc.choices import JOBS
from sesame_hpc.files import write_json_atomic
from sesame_hpc.launch.successors import last_of, read_successors

__all__ = ["LEDGER", "JobRecord", "Ledger", "Submission"]

LEDGER = "jobs.json"

Executor = Literal["slurm", "local"]
StageName = Annotated[str, Field(pattern=f"^({'|'.join(JOBS)})$")]
JobId = Annotated[str, Field(pattern=r"^[0-9]+(_[0-9]+)?$")]
JobName = Annotated[str, Field(pattern=r"^sesame-[A-Za-z0-9._=,+-]*$")]
LogPath = Annotated[str, Field(pattern=r"^(\.\./)*logs/[0-9_]+_%t_log\.out$")]


@with_config(ConfigDict(extra="forbid"))
class Process(TypedDict):
    """A process, as `process.identity` gives it."""

    pid: Annotated[int, Field(gt=1)]
    started: int | None
    host: str


@dataclass(frozen=True)
class JobRecord:
    """One job: `job` is its id, "12" or "12_3" in an array, None while a local one waits.

    `name` is its SLURM job name, since ids are reused, as on a cluster that was set up again.
    `logs` is the path of a rank's log with %t for the rank, relative to the run folder. `end` is
    the final state of a local job, by SLURM's name for it. `cluster` is that of a federation to
    which sbatch sent the job.
    """

    stage: StageName
    job: JobId | None
    nodes: int
    ranks: int
    logs: LogPath | None
    dependency: str | None = None
    name: JobName | None = None
    end: str | None = None
    cluster: str | None = None

    def log(self, run: Path, rank: int) -> Path | None:
        return None if self.logs is None else run / self.logs.replace("%t", str(rank))


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together, from the working directory `directory`.

    `process` is that of a local chain, which always has one.
    """

    executor: Executor
    profile: str | None
    directory: str
    command: str
    jobs: tuple[JobRecord, ...]
    time: str
    process: Process | None = None

    @classmethod
    def now(
        cls,
        executor: Executor,
        profile: str | None,
        jobs: tuple[JobRecord, ...],
        process: Mapping[str, Any] | None = None,
    ) -> "Submission":
        """A submission by the command line of this process."""
        time = datetime.now().astimezone().isoformat("T", "seconds")
        directory, command = str(Path.cwd()), shlex.join(sys.argv)
        own = cast(Process, dict(process)) if process else None
        return cls(executor, profile, directory, command, jobs, time, own)


class _Content(TypedDict):
    submissions: list[Submission]


_CONTENT = TypeAdapter(_Content)


class Ledger:
    """The submissions of one run folder, oldest first."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.path = run / LEDGER

    def submissions(self) -> list[Submission]:
        """[] if nothing was submitted. ValueError for an invalid file.

        Run folders are shared, so that every value is checked: what follows from this file are
        signals, calls of scancel, and files that are shown.
        """
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            found = _CONTENT.validate_json(content, strict=True)["submissions"]
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(
                f"{self.path}: not a list of jobs ({place or 'as a whole'}: {first['msg']})"
            ) from None
        if any(each.executor == "local" and each.process is None for each in found):
            raise ValueError(f"{self.path}: not a list of jobs (a local chain without its process)")
        return found

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
