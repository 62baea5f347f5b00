"""Cluster profiles: how to request resources from a site's SLURM.

One YAML file per site, strictly validated. `stages:` overrides keys for one of the jobs of a run:
preliminary, pretrain, finetune, report.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from sesame_hpc.choices import JOBS
from sesame_hpc.config.layers import merge, read_layers
from sesame_hpc.config.load import validate
from sesame_hpc.config.schema import Strict
from sesame_hpc.config.shipped import Shipped
from sesame_hpc.plural import counted

__all__ = [
    "PROFILE_VARIABLE",
    "Container",
    "Profile",
    "Resources",
    "load_profile",
    "profile_names",
]

PROFILE_VARIABLE = "SESAME_PROFILE"

_SHIPPED = Shipped("cluster profile", in_package="profiles", in_checkout="slurm/profiles")
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})$")
_OURS = {
    "array": "give sesame submit --array",
    "dependency": "the chain sets it",
    "error": "logs are in the run folder",
    "job-name": "it is made of run and stage",
    "kill-on-invalid-dep": "the chain sets it",
    "open-mode": "logs are appended to",
    "output": "logs are in the run folder",
    "requeue": "jobs are requeued",
    "signal": "give signal_delay",
}


_OURS_OF_SRUN = {
    "container-image": "give container: {image: ...}",
    "container-mounts": "give container: {mounts: ...}",
    "cpus-per-task": "give cpus_per_task",
    "error": "logs are in the run folder",
    "export": "the ranks need all environment variables",
    "kill-on-bad-exit": "all ranks end when one fails",
    "nodes": "give nodes",
    "ntasks": "give tasks_per_node",
    "output": "logs are in the run folder",
}


def _minutes(value: Any) -> Any:
    """A time in the notation of sbatch as minutes, rounded up; numbers are minutes."""
    if not isinstance(value, str):
        return value
    match = _TIME.match(value.strip())
    if match is None:
        raise ValueError(
            "must be minutes, minutes:seconds, hours:minutes:seconds, days-hours, "
            "days-hours:minutes or days-hours:minutes:seconds"
        )
    parts = [int(part) for part in match["parts"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    total = ((int(match["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    return -(-total // 60)


def _gres(text: str) -> str:
    if any(re.match("(gres/)?gpu(:|=|$)", each.strip()) for each in text.split(",")):
        raise ValueError("GPUs are asked for by gpus_per_node and gpu_type")
    return text


def _srun_arguments(arguments: list[str]) -> list[str]:
    for argument in arguments:
        name = argument.partition("=")[0]
        if not re.fullmatch(r"--[a-z][a-z0-9-]+", name):
            raise ValueError(f"{argument!r} is not an option such as --mpi=pmix")
        if name[2:] in _OURS_OF_SRUN:
            raise ValueError(f"{name} cannot be given here: {_OURS_OF_SRUN[name[2:]]}")
    return arguments


def _place_on_node(text: str) -> str:
    if not text.startswith(("/", "$", "~")):
        raise ValueError("must be an absolute path, or begin with a variable such as $TMPDIR")
    return text


def _sbatch_options(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        key = name.replace("_", "-")
        if key in _OURS:
            raise ValueError(f"{name} cannot be given here: {_OURS[key]}")
        field = key.replace("-", "_")
        if field in Resources.model_fields:
            raise ValueError(f"{name} has its own key: write {field}: beside extra:")
        if not isinstance(value, str | int | float) or value is False:
            raise ValueError(f"{name} must be text, a number or true (an option without a value)")
    return options


Minutes = Annotated[PositiveInt, BeforeValidator(_minutes)]
Memory = Annotated[
    str, BeforeValidator(str), StringConstraints(pattern=r"^\d+(\.\d+)?([KMGT]B?)?$")
]


class Resources(Strict):
    """What one job asks for. null leaves the choice to the cluster's own defaults."""

    partition: str | None = None
    """The partition, as in sbatch --partition."""
    account: str | None = None
    """The account to charge."""
    qos: str | None = None
    """The quality of service."""
    constraint: str | None = None
    """Node features, as in sbatch --constraint."""
    nodes: PositiveInt = 1
    """Number of nodes."""
    gpus_per_node: Annotated[int, Field(ge=0)] = 0
    """GPUs per node."""
    gpu_type: str | None = None
    """The type of GPU, such as a100."""
    tasks_per_node: PositiveInt | None = None
    """Ranks per node. null: one per GPU, or one on a node without GPUs."""
    cpus_per_task: PositiveInt | None = None
    """CPUs per rank: DALI's threads (`data.threads`) and the rank itself."""
    mem: Memory | None = None
    """Memory per node, as sbatch takes it (MB without a unit)."""
    mem_per_gpu: Memory | None = None
    """Memory per GPU instead, where nodes are shared."""
    gres: Annotated[str, AfterValidator(_gres)] | None = None
    """Other generic resources per node, such as nvme:1; GPUs have gpus_per_node."""
    exclude: str | None = None
    """Nodes to avoid, such as n7,n[12-15]."""
    time: Minutes | None = None
    """Time limit in minutes, or as sbatch takes it; when it comes near, the job saves and is
    requeued."""
    extra: Annotated[dict[str, Any], AfterValidator(_sbatch_options)] = Field(default_factory=dict)
    """Further options of sbatch; true for one without a value."""

    @model_validator(mode="after")
    def _one_memory(self) -> Self:
        if self.mem and self.mem_per_gpu:
            raise ValueError("give mem (per node) or mem_per_gpu, not both")
        if self.mem_per_gpu and not self.gpus_per_node:
            raise ValueError("mem_per_gpu needs gpus_per_node")
        return self

    @property
    def ranks_per_node(self) -> int:
        return self.tasks_per_node or max(1, self.gpus_per_node)

    @property
    def ranks(self) -> int:
        return self.nodes * self.ranks_per_node


class Container(Strict):
    """The container in which the jobs' Python runs: `image`, or a command `prefix`."""

    image: str | None = None
    """An image for pyxis (srun --container-image)."""
    mounts: list[str] = Field(default_factory=list)
    """Mounts for pyxis, as in "/shared:/shared"."""
    prefix: str | None = None
    """A command in front of Python, such as `apptainer exec --nv sesame.sif`."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Container":
        if self.image and self.prefix:
            raise ValueError("give image (pyxis) or prefix (a command), not both")
        if self.mounts and not self.image:
            raise ValueError("mounts need image (pyxis); with prefix, write them into it")
        return self


class JobResources(Strict):
    """Overrides for one job of a run: only the keys that are given apply.

    The report needs one rank: one task on one node, with one GPU if the stages have any.
    """

    preliminary: Resources = Resources()
    pretrain: Resources = Resources()
    finetune: Resources = Resources()
    report: Resources = Resources()


assert tuple(JobResources.model_fields) == JOBS


class Profile(Resources):
    """A site: what its jobs ask for, and how they are started."""

    shell_lines: ClassVar[frozenset[str]] = frozenset({"setup", "notify"})

    signal_delay: PositiveInt = 120
    """Seconds before a time limit at which the job is told to save."""
    max_requeues: Annotated[int, Field(ge=0)] = 100
    """How often a job may be requeued."""
    setup: list[str] = Field(default_factory=list)
    """Shell lines before the job, such as `module load cuda`."""
    srun_args: Annotated[list[str], AfterValidator(_srun_arguments)] = Field(default_factory=list)
    """Further options of srun, such as --mpi=pmix or --network=..., one word each."""
    container: Container = Container()
    python: str | None = None
    """The interpreter that has sesame-hpc. null: the one that submits, or `python` in a
    container."""
    notify: str | None = None
    """A shell command that is run when a run has ended or is stuck, or a job of it failed for
    good or was cancelled, such as curl to a chat; SESAME_EVENT is "ended", "stuck", "failed" or
    "cancelled", SESAME_RUN the run's folder."""
    stuck_minutes: PositiveInt = 60
    """How long a running job may write nothing to its logs and the run's metrics until `notify`
    calls it stuck. The job goes on."""
    stage_data: Annotated[str, AfterValidator(_place_on_node)] | None = None
    """A folder on each node's own disk, such as $TMPDIR, to which the pack is copied before
    training; its variables are those of the node. null: the shared pack is read."""
    min_progress: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.001
    """The share of a stage's steps that a job must complete between two requeues: after two in a
    row with less, it is not requeued any more."""
    exclude_bad_nodes: Annotated[int, Field(ge=0)] = 0
    """How many nodes the jobs of a run may exclude. A job that a GPU's hardware ends, that sees
    none of its GPUs, or in which a rank is below half the median speed before a stage, is then
    submitted again without that node. 0: it fails, or trains as fast as its slowest rank."""
    array_parallelism: PositiveInt = 8
    """Points of a sweep that run at the same time."""
    stages: JobResources = JobResources()

    @model_validator(mode="after")
    def _signal_leaves_time(self) -> "Profile":
        for job in JOBS:
            minutes = self.resources(job).time
            if minutes and 60 * (minutes - 1) < self.signal_delay:
                raise ValueError(
                    f"signal_delay: {self.signal_delay} s before the time limit of {job}, "
                    f"{counted(minutes, 'minute')}, is less than a minute after its start"
                )
        return self

    def resources(self, job: str) -> Resources:
        """The resources of `job`, one of JOBS."""
        shared = {name: getattr(self, name) for name in Resources.model_fields}
        if job == "report":
            one_gpu = min(1, self.gpus_per_node)
            shared |= {"nodes": 1, "gpus_per_node": one_gpu, "tasks_per_node": None}
        own = getattr(self.stages, job)
        given = {name: getattr(own, name) for name in own.model_fields_set}
        extra = {**self.extra, **own.extra}
        return Resources.model_validate(shared | given | {"extra": extra})


def profile_names() -> list[str]:
    """Names of the shipped profiles, sorted."""
    return _SHIPPED.names()


def load_profile(name: str | Path | None, required: bool = True) -> tuple[str | None, Profile]:
    """The name and the profile of a YAML file or of a shipped profile.

    None takes SESAME_PROFILE, or if not `required` an empty profile. ValueError lists every problem
    with its key path and line, or says how to name a profile; FileNotFoundError for a missing one.
    """
    chosen = name or os.environ.get(PROFILE_VARIABLE)
    if not chosen and not required:
        return None, Profile()
    if not chosen:
        raise ValueError(
            "no cluster profile: give --profile NAME or FILE, or set SESAME_PROFILE; "
            f"shipped: {', '.join(profile_names())}"
        )
    path = _SHIPPED.find(chosen)
    return str(chosen), validate(Profile, merge(list(read_layers(path))), str(path))
