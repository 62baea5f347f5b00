"""A request for jobs, and its profile as options of sbatch and srun and as lines of the script."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sesame_hpc.config.fields import has_control_characters
from sesame_hpc.distributed.node_faults import EXCLUDE_BAD_NODES
from sesame_hpc.launch.batch_script import BATCH_REQUEUE
from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.profile import Profile, Resources
from sesame_hpc.launch.successors import JOB_FOLDER

__all__ = ["Request", "interpreter", "parameters"]


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


def interpreter(profile: Profile) -> str:
    """The command of the jobs' Python, for the shell: with the prefix of a container."""
    contained = profile.container.image or profile.container.prefix
    python = profile.python or ("python" if contained else shlex.quote(sys.executable))
    return " ".join(filter(None, [profile.container.prefix, python]))


def parameters(request: Request) -> dict[str, Any]:
    """The job's parameters, in submitit's names.

    Raises ValueError for a folder with control characters, which would end lines of the script.
    """
    profile, wants = request.profile, request.resources
    if has_control_characters(request.folder):
        raise ValueError(
            f"{str(request.folder)!r}: a path in an sbatch script must have no control characters, "
            "such as newlines"
        )
    return {
        "job_name": request.name,
        "partition": wants.partition,
        "account": wants.account,
        "qos": wants.qos,
        "constraint": wants.constraint,
        "nodes": wants.nodes,
        "ntasks_per_node": wants.ranks_per_node,
        "gpus_per_node": _gpus(wants),
        "cpus_per_task": wants.cpus_per_task,
        "mem": wants.mem,
        "mem_per_gpu": wants.mem_per_gpu,
        "gres": wants.gres,
        "exclude": wants.exclude,
        "time": wants.time,
        "signal_delay_s": profile.signal_delay,
        "dependency": request.dependency,
        "setup": _setup(request),
        "teardown": ['sesame_follow_up "$?"'],
        "array_parallelism": request.parallel or profile.array_parallelism,
        "wckey": None,
        "stderr_to_stdout": True,
        "srun_args": _srun_options(profile, wants),
        "additional_parameters": _options(wants, request.dependency),
    }


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
    """What batch_requeue.sh runs when the run has ended or is stuck, or a job failed for good."""
    if request.profile.notify is None:
        return []
    last = ["export SESAME_LAST_JOB=yes"] if request.is_last else []
    return [
        f"export SESAME_NOTIFY={shlex.quote(request.profile.notify)}",
        f"export SESAME_RUN={shlex.quote(str(request.folder.parent))}",
        f"export SESAME_STUCK_SECONDS={60 * request.profile.stuck_minutes}",
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
