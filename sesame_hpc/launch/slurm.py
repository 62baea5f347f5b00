"""Jobs through submitit: on SLURM, on this machine, or as sbatch scripts."""

from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from sesame_hpc.extras import needed_for
from sesame_hpc.files import replacing, write_text_atomic
from sesame_hpc.launch.batch_script import BATCH_REQUEUE
from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.private_folder import make_private
from sesame_hpc.launch.request import Request, interpreter, parameters
from sesame_hpc.launch.sbatch import read_job
from sesame_hpc.launch.slurm_commands import partitions
from sesame_hpc.launch.submission_environment import outside_of_jobs, without_rivals

with needed_for("SLURM"):
    import submitit
    from submitit.core.utils import DelayedSubmission, FailedJobError, JobPaths

__all__ = ["Jobs", "UnknownJobError", "log_pattern", "run_here", "script", "submit"]

_YEAR_MIN = 525_600


@dataclass(frozen=True)
class Jobs:
    """Submitted jobs: `ids` "12", or "12_0", "12_1" in an array; `cluster` of a federation."""

    ids: list[str]
    cluster: str | None = None


class UnknownJobError(ValueError):
    """sbatch succeeded but did not say which job it submitted."""


class _Executor(submitit.SlurmExecutor):
    """submitit's executor, which also makes scripts where SLURM is not installed.

    It reads what sbatch says with `read_job`, for arrays too.
    """

    cluster: str | None = None

    @classmethod
    def affinity(cls) -> int:
        return 2

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sbatch", "--parsable", str(submission_file_path)]

    # Not static as submitit's, to keep the cluster.
    def _get_job_id_from_submission_command(self, string: bytes | str) -> str:  # type: ignore[override]
        text = string if isinstance(string, str) else string.decode("utf-8", "replace")
        job, self.cluster = read_job(text)
        return job

    def submit_all(self, jobs: Sequence[StageJob]) -> list[str]:
        """Submit one job, or an array of several."""
        if len(jobs) == 1:
            return [str(self.submit(jobs[0]).job_id)]
        self.parameters["map_count"] = len(jobs)
        first = self._submit_command(self._submitit_command_str).job_id
        ids = [f"{first}_{task}" for task in range(len(jobs))]
        for name, job in zip(ids, jobs, strict=True):
            with replacing(JobPaths(self.folder, name).submitted_pickle) as path:
                DelayedSubmission(job).dump(path)
        return ids

    def script(self, jobs: int) -> str:
        array = {"map_count": jobs} if jobs > 1 else {}
        self.parameters.update(array)
        return self._make_submission_file_text(self._submitit_command_str, uid="")


def script(request: Request) -> str:
    """The sbatch script that `submit` would write. Touches no disk and needs no SLURM."""
    return _executor(request).script(len(request.jobs)).rstrip() + "\n"


def submit(request: Request, warn: Callable[[str], None]) -> Jobs:
    """Submit `request.jobs`; `warn` gets what the user has set to no effect.

    Raises ValueError with the error of sbatch, and with the valid partitions for a wrong one;
    UnknownJobError if sbatch succeeded without saying which job it submitted.
    """
    executor = _executor(request)
    make_private(request.folder)
    write_text_atomic(request.folder / BATCH_REQUEUE.name, BATCH_REQUEUE.read_text("utf-8"))
    try:
        rivals = without_rivals(script(request), warn)
        with outside_of_jobs(), rivals, redirect_stderr(StringIO()):
            ids = executor.submit_all(request.jobs)
    except FailedJobError as error:
        raise ValueError(_refusal(request, str(error))) from None
    except ValueError as error:
        raise UnknownJobError(
            f"{error}. Job {request.name} may be queued: squeue --name={request.name} shows it, "
            f"and scancel --name={request.name} ends it"
        ) from None
    return Jobs(ids, executor.cluster)


def run_here(job: StageJob, folder: Path, ranks: int, gpus: Sequence[int]) -> Any:
    """Start a job as `ranks` processes on this machine; returns submitit's job.

    `gpus` are the devices that are visible to its processes.
    """
    make_private(folder)
    executor = submitit.LocalExecutor(folder)
    executor.update_parameters(
        tasks_per_node=ranks,
        gpus_per_node=len(gpus),
        visible_gpus=list(gpus),
        timeout_min=_YEAR_MIN,
        stderr_to_stdout=True,
    )
    with outside_of_jobs():
        return executor.submit(job)


def log_pattern(folder: Path, job: str) -> Path:
    """The log of a job's ranks, %t for the rank."""
    return folder / f"{job}_%t_log.out"


def _executor(request: Request) -> _Executor:
    settings = parameters(request)
    executor = _Executor(request.folder, python=interpreter(request.profile))
    executor.update_parameters(**settings)
    return executor


def _refusal(request: Request, error: str) -> str:
    """The first line of sbatch's error is the specific one."""
    lines = [line.partition("error: ")[2] or line for line in error.splitlines() if line.strip()]
    cause = lines[0] if lines else "no reason given"
    message = f"sbatch refused job {request.name}: {cause}"
    valid = partitions() if "invalid partition" in error.lower() else []
    return f"{message}. This cluster's partitions: {', '.join(valid)}" if valid else message
