"""Jobs through submitit: on SLURM, on this machine, or as sbatch scripts."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import clean_env

from sesame_hpc.config.fields import has_control_characters
from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.profile import Profile, Resources

__all__ = [
    "Request",
    "cancel",
    "log_pattern",
    "make_private",
    "require_slurm",
    "run_here",
    "script",
    "submit",
]

_YEAR_MIN = 525_600
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Request:
    """A job to submit, or with several `jobs` an array of them; logs and pickles go to `folder`.

    `parallel` is how many of an array run at once.
    """

    name: str
    folder: Path
    profile: Profile
    resources: Resources
    jobs: Sequence[StageJob]
    dependency: str | None = None
    parallel: int | None = None


class _Executor(submitit.SlurmExecutor):
    """submitit's executor, which also makes scripts where SLURM is not installed."""

    @classmethod
    def affinity(cls) -> int:
        return 2

    def script(self, jobs: int) -> str:
        array = {"map_count": jobs} if jobs > 1 else {}
        self.parameters.update(array)
        return self._make_submission_file_text(self._submitit_command_str, uid="")


def script(request: Request) -> str:
    """The sbatch script that `submit` would write. Touches no disk and needs no SLURM."""
    return _executor(request).script(len(request.jobs)).rstrip() + "\n"


def submit(request: Request) -> list[str]:
    """Submit, and return the id of each of `request.jobs`: "12", or "12_0", "12_1" in an array.

    Raises ValueError with the error of sbatch, and with the valid partitions for a wrong one.
    """
    executor = _executor(request)
    make_private(request.folder)
    try:
        with _outside_of_jobs(), redirect_stderr(StringIO()):
            jobs = executor.submit_array(list(request.jobs))
    except (FailedJobError, FailedSubmissionError) as error:
        raise ValueError(_refusal(request, str(error))) from None
    return [str(job.job_id) for job in jobs]


def cancel(jobs: Sequence[str]) -> None:
    """Cancel queued and running jobs. Raises ValueError with the error of scancel."""
    ended = subprocess.run(["scancel", *jobs], capture_output=True, text=True)
    if ended.returncode:
        raise ValueError(f"scancel: {ended.stderr.strip()}")


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
    with _outside_of_jobs():
        return executor.submit(job)


def make_private(folder: Path) -> None:
    """Make the folder of the jobs' pickles one that only this user writes: a job runs its pickle.

    Raises PermissionError if it is another user's, or if others may rename it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.geteuid():
        raise PermissionError(
            f"{folder} belongs to another user, who could change what your jobs run; "
            "give another output"
        )
    if about.st_mode & _OTHERS_WRITE:
        folder.chmod(stat.S_IMODE(about.st_mode) & ~_OTHERS_WRITE)
    parent = folder.resolve().parent.stat()
    if parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX:
        raise PermissionError(
            f"{folder.resolve().parent} can be written by everyone, who could change what your "
            f"jobs run: chmod o-w {shlex.quote(str(folder.resolve().parent))}"
        )


def log_pattern(folder: Path, job: str) -> Path:
    """The log of a job's ranks, %t for the rank."""
    return folder / f"{job}_%t_log.out"


def require_slurm() -> None:
    """Raise ValueError if jobs cannot be submitted from this machine."""
    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing:
        raise ValueError(
            f"{missing[0]} is not installed on this machine: submit from a login node of your "
            "cluster, or give --local to run the same jobs here"
        )


def _executor(request: Request) -> _Executor:
    profile, wants = request.profile, request.resources
    if has_control_characters(request.folder):
        raise ValueError(
            f"{str(request.folder)!r}: a path in an sbatch script must have no control characters, "
            "such as newlines"
        )
    executor = _Executor(request.folder, python=_python(profile))
    executor.update_parameters(
        job_name=request.name,
        partition=wants.partition,
        account=wants.account,
        qos=wants.qos,
        constraint=wants.constraint,
        nodes=wants.nodes,
        ntasks_per_node=wants.ranks_per_node,
        gpus_per_node=_gpus(wants),
        cpus_per_task=wants.cpus_per_task,
        mem=wants.mem,
        time=wants.time,
        signal_delay_s=profile.signal_delay,
        dependency=request.dependency,
        setup=[*profile.setup, f"export SESAME_MAX_REQUEUES={profile.max_requeues}"],
        array_parallelism=request.parallel or profile.array_parallelism,
        wckey=None,
        stderr_to_stdout=True,
        srun_args=_srun_options(profile, wants),
        additional_parameters=_options(wants, request.dependency),
    )
    return executor


def _gpus(wants: Resources) -> str | int | None:
    if wants.gpu_type and wants.gpus_per_node:
        return f"{wants.gpu_type}:{wants.gpus_per_node}"
    return wants.gpus_per_node or None


def _options(wants: Resources, dependency: str | None) -> dict[str, Any]:
    """With a dependency, the job is cancelled if the one before it fails, instead of waiting."""
    link = {"kill-on-invalid-dep": "yes"} if dependency else {}
    extra = {name.replace("_", "-"): value for name, value in wants.extra.items()}
    return {"requeue": True, **extra, **link}


def _srun_options(profile: Profile, wants: Resources) -> list[str]:
    """srun does not inherit --cpus-per-task from sbatch; if one rank dies, all must end."""
    options = ["--kill-on-bad-exit=1"]
    if wants.cpus_per_task:
        options.append(f"--cpus-per-task={wants.cpus_per_task}")
    if profile.container.image:
        options.append(f"--container-image={profile.container.image}")
    if profile.container.mounts:
        options.append(f"--container-mounts={','.join(profile.container.mounts)}")
    return options


def _python(profile: Profile) -> str:
    contained = profile.container.image or profile.container.prefix
    python = profile.python or ("python" if contained else shlex.quote(sys.executable))
    return " ".join(filter(None, [profile.container.prefix, python]))


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Submit from within a job as from a login node: without the job's variables."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    configuration = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(configuration)
        yield


def _refusal(request: Request, error: str) -> str:
    """The first line of sbatch's error is the specific one."""
    lines = [line.partition("error: ")[2] or line for line in error.splitlines() if line.strip()]
    cause = lines[0] if lines else "no reason given"
    message = f"sbatch refused job {request.name}: {cause}"
    if "partition" in error.lower():
        message += _valid_partitions()
    return message


def _valid_partitions() -> str:
    try:
        shown = subprocess.run(
            ["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    names = sorted(set(shown.stdout.split()))
    return f". This cluster's partitions: {', '.join(names)}" if names else ""
