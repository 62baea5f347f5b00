"""Jobs through submitit: on SLURM, on this machine, or as sbatch scripts."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from sesame_hpc.config.fields import has_control_characters
from sesame_hpc.distributed.node_faults import EXCLUDE_BAD_NODES
from sesame_hpc.extras import needed_for
from sesame_hpc.files import replacing, write_text_atomic
from sesame_hpc.launch.batch_script import BATCH_REQUEUE
from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.profile import Profile, Resources
from sesame_hpc.launch.sbatch import beaten_variables, read_job
from sesame_hpc.launch.slurm_job import NO_ANSWER
from sesame_hpc.launch.successors import JOB_FOLDER

with needed_for("SLURM"):
    import submitit
    from submitit.core.utils import DelayedSubmission, FailedJobError, JobPaths
    from submitit.helpers import clean_env

__all__ = [
    "Jobs",
    "Request",
    "UnknownJobError",
    "cancel",
    "largest_array",
    "log_pattern",
    "make_private",
    "require_slurm",
    "run_here",
    "script",
    "submit",
    "try_out",
]

_YEAR_MIN = 525_600
_SBATCH_SECONDS = 60
_NO_CLUSTER = re.compile(f"configuration source|{NO_ANSWER.pattern}", re.IGNORECASE)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Request:
    """A job to submit, or with several `jobs` an array of them; logs and pickles go to `folder`.

    `parallel` is how many of an array run at once. `is_last` is true of a chain's last job.
    """

    name: str
    folder: Path
    profile: Profile
    resources: Resources
    jobs: Sequence[StageJob]
    dependency: str | None = None
    parallel: int | None = None
    is_last: bool = False


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
        rivals = _without_rivals(script(request), warn)
        with _outside_of_jobs(), rivals, redirect_stderr(StringIO()):
            ids = executor.submit_all(request.jobs)
    except FailedJobError as error:
        raise ValueError(_refusal(request, str(error))) from None
    except ValueError as error:
        raise UnknownJobError(
            f"{error}. Job {request.name} may be queued: squeue --name={request.name} shows it, "
            f"and scancel --name={request.name} ends it"
        ) from None
    return Jobs(ids, executor.cluster)


def try_out(text: str) -> tuple[bool | None, str]:
    """Whether sbatch would take a script, and what it says: when and where the job would start.

    None where it cannot be asked, as without a controller. The jobs that the script's own would
    wait for do not exist, and so its dependency is left out.
    """
    alone = re.sub(r"^#SBATCH --dependency=.*\n", "", text, flags=re.MULTILINE)
    command = ["sbatch", "--test-only"]
    with _outside_of_jobs(), _without_rivals(alone, lambda text: None):
        try:
            ended = subprocess.run(
                command, input=alone, capture_output=True, text=True, timeout=_SBATCH_SECONDS
            )
        except subprocess.TimeoutExpired:
            return None, f"no answer within {_SBATCH_SECONDS} s"
    lines = [line for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
    lines = [re.sub(r"^sbatch: ((error|fatal): )?", "", line) for line in lines] or ["nothing"]
    if ended.returncode and any(map(_NO_CLUSTER.search, lines)):
        return None, lines[-1]
    return ended.returncode == 0, lines[0]


def largest_array() -> int | None:
    """How many tasks a job array may have on this cluster; None where it does not say."""
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=_SBATCH_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return max(1, int(found[1])) if found else None


def cancel(jobs: Sequence[str], cluster: str | None = None) -> None:
    """Cancel queued and running jobs. Raises ValueError with the error of scancel."""
    where = [f"--clusters={cluster}"] if cluster else []
    ended = subprocess.run(["scancel", *where, *jobs], capture_output=True, text=True)
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
        mem_per_gpu=wants.mem_per_gpu,
        gres=wants.gres,
        exclude=wants.exclude,
        time=wants.time,
        signal_delay_s=profile.signal_delay,
        dependency=request.dependency,
        setup=_setup(request),
        teardown=['sesame_follow_up "$?"'],
        array_parallelism=request.parallel or profile.array_parallelism,
        wckey=None,
        stderr_to_stdout=True,
        srun_args=_srun_options(profile, wants),
        additional_parameters=_options(wants, request.dependency),
    )
    return executor


def _setup(request: Request) -> list[str]:
    """The script continues after its ranks have failed, to requeue the job if they asked for it."""
    return [
        *request.profile.setup,
        "set +e",
        f"export SESAME_MAX_REQUEUES={request.profile.max_requeues}",
        f"export SESAME_MIN_PROGRESS={request.profile.min_progress:g}",
        *_exclusion(request.profile),
        *_staging(request.profile),
        *_notice(request),
        f"export {JOB_FOLDER}={shlex.quote(str(request.folder))}",
        f"source {shlex.quote(str(request.folder / BATCH_REQUEUE.name))}",
    ]


def _exclusion(profile: Profile) -> list[str]:
    count = profile.exclude_bad_nodes
    return [f"export {EXCLUDE_BAD_NODES}={count}"] if count else []


def _staging(profile: Profile) -> list[str]:
    """As it is: its variables are those of each node, not of the one that runs the script."""
    if profile.stage_data is None:
        return []
    return [f"export SESAME_STAGE_DATA={shlex.quote(profile.stage_data)}"]


def _notice(request: Request) -> list[str]:
    """What batch_requeue.sh runs when the run has ended, or a job of it failed for good."""
    if request.profile.notify is None:
        return []
    last = ["export SESAME_LAST_JOB=yes"] if request.is_last else []
    return [
        f"export SESAME_NOTIFY={shlex.quote(request.profile.notify)}",
        f"export SESAME_RUN={shlex.quote(str(request.folder.parent))}",
        *last,
    ]


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
    """srun does not inherit --cpus-per-task from sbatch; if one rank dies, all must end.

    Where jobs are submitted with SBATCH_EXPORT=NONE, srun would give its tasks no variables either.
    """
    options = ["--kill-on-bad-exit=1", "--export=ALL"]
    if wants.cpus_per_task:
        options.append(f"--cpus-per-task={wants.cpus_per_task}")
    if profile.container.image:
        options.append(f"--container-image={profile.container.image}")
    if profile.container.mounts:
        options.append(f"--container-mounts={','.join(profile.container.mounts)}")
    return [*options, *profile.srun_args]


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


@contextmanager
def _without_rivals(text: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Without those variables of sbatch that would beat the script."""
    options = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
    rivals = beaten_variables(os.environ, options)
    for name, value in rivals.items():
        warn(f"{name}={value} has no effect: the profile overrides it")
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(rivals)


def _refusal(request: Request, error: str) -> str:
    """The first line of sbatch's error is the specific one."""
    lines = [line.partition("error: ")[2] or line for line in error.splitlines() if line.strip()]
    cause = lines[0] if lines else "no reason given"
    message = f"sbatch refused job {request.name}: {cause}"
    if "invalid partition" in error.lower():
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
