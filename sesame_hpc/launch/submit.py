"""A plan's jobs as a chain of SLURM jobs, or as their scripts."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.launch.job import StageJob
from sesame_hpc.launch.ledger import JobRecord, Ledger, Submission
from sesame_hpc.launch.plan import Plan, Run
from sesame_hpc.launch.profile import Profile
from sesame_hpc.launch.request import Request
from sesame_hpc.launch.reservation import reserved
from sesame_hpc.launch.slurm import UnknownJobError, log_pattern, script, submit
from sesame_hpc.launch.slurm_commands import cancel, largest_array, require_slurm
from sesame_hpc.launch.sweep import write_sweep
from sesame_hpc.printable import say
from sesame_hpc.run.settings import write_settings
from sesame_hpc.training.schedule import check_ranks

__all__ = ["LOGS", "SubmittedPlan", "scripts", "submit_plan", "write_runs"]

LOGS = "logs"
_LONGEST_NAME = 80


@dataclass(frozen=True)
class SubmittedPlan:
    """The job ids of each stage, without the tasks of arrays, and the cluster of a federation."""

    ids: dict[str, list[str]]
    cluster: str | None


def scripts(plan: Plan, profile: Profile, parallel: int | None = None) -> Iterator[tuple[str, str]]:
    """(stage, sbatch script) of each job; dependencies have placeholders for job ids.

    Raises ValueError where a stage's ranks cannot share its batches.
    """
    _check_ranks(plan, profile)
    for runs in _arrays(plan):
        before: str | None = None
        for stage in plan.jobs:
            yield stage, script(_request(plan, runs, profile, stage, before, parallel))
            before = f"ID_OF_{stage.upper()}"


def submit_plan(
    plan: Plan,
    name: str | None,
    profile: Profile,
    parallel: int | None,
    tell: Callable[[str, str], None],
    after: Mapping[str, Sequence[str]] | None = None,
) -> SubmittedPlan:
    """Submit the chain, and record it in each run's jobs.json; `tell(stage, id)` after each job.

    Runs that are more than a job array of this cluster may have are several chains. `after`
    {stage: job ids} are jobs of other chains that must have ended, successfully or not, before that
    stage starts. If sbatch refuses a job, those before it are cancelled, and ValueError says why.
    They are also cancelled if the user interrupts. ValueError also as `reserved`, and where a
    stage's ranks cannot share its batches.
    """
    require_slurm()
    _check_ranks(plan, profile)
    with reserved(plan) as created:
        return _submit(plan, name, profile, parallel, tell, after or {}, created)


def _submit(
    plan: Plan,
    name: str | None,
    profile: Profile,
    parallel: int | None,
    tell: Callable[[str, str], None],
    after: Mapping[str, Sequence[str]],
    created: list[Path],
) -> SubmittedPlan:
    write_runs(plan)
    records: dict[Path, list[JobRecord]] = {path: [] for path in _folders(plan)}
    ids: dict[str, list[str]] = {stage: [] for stage in plan.jobs}
    warnings: set[str] = set()
    cluster: str | None = None

    def warn(text: str) -> None:
        if text not in warnings:
            warnings.add(text)
            say(f"sesame: {text}", err=True)

    for runs in _arrays(plan):
        before: str | None = None
        for stage in plan.jobs:
            others = after.get(stage, ())
            request = _request(plan, runs, profile, stage, before, parallel, others)
            try:
                submitted = submit(request, warn)
            except UnknownJobError as error:
                raise ValueError(f"{error}{_rollback(ids, cluster, [])}") from None
            except ValueError as error:
                raise ValueError(f"{error}{_rollback(ids, cluster, created)}") from None
            except KeyboardInterrupt:
                _rollback(ids, cluster, created)
                raise
            jobs, cluster = submitted.ids, submitted.cluster
            before = jobs[0].split("_")[0]
            ids[stage].append(before)
            for run, job in zip(runs, jobs, strict=True):
                path = run.folder.path
                records[path].append(_record(request, stage, job, cluster, path))
            tell(stage, jobs[0] if len(jobs) == 1 else f"{before}_[0-{len(jobs) - 1}]")
    for path, own in records.items():
        Ledger(path).add(Submission.now("slurm", name, tuple(own)))
    return SubmittedPlan(ids, cluster)


def _arrays(plan: Plan) -> list[tuple[Run, ...]]:
    """The plan's runs in parts that a job array of this cluster may have."""
    size = (largest_array() if len(plan.runs) > 1 else None) or len(plan.runs)
    return [plan.runs[first : first + size] for first in range(0, len(plan.runs), size)]


def _check_ranks(plan: Plan, profile: Profile) -> None:
    for run in plan.runs:
        for stage in plan.jobs:
            if stage in run.config.stages.run:
                settings = {stage: getattr(run.config.stages, stage)}
                check_ranks(settings, run.config.runtime, profile.resources(stage).ranks)


def write_runs(plan: Plan) -> None:
    """Write the settings that the jobs will read; later changes of the config have no effect."""
    for run in plan.runs:
        run.folder.path.mkdir(parents=True, exist_ok=True)
        write_settings(run.folder, run.config)
    if plan.is_sweep:
        write_sweep(plan.output, plan.points)


def _request(
    plan: Plan,
    runs: Sequence[Run],
    profile: Profile,
    stage: str,
    before: str | None,
    parallel: int | None,
    others: Sequence[str] = (),
) -> Request:
    several = len(runs) > 1
    share = -(-(parallel or profile.array_parallelism) * len(runs) // len(plan.runs))
    own = [f"{'aftercorr' if several else 'afterok'}:{before}"] if before else []
    awaited = [*own, *(f"afterany:{job}" for job in others)]
    return Request(
        name=f"sesame-{_plain(plan.output.name)}-{stage}",
        folder=plan.output / LOGS,
        profile=profile,
        resources=profile.resources(stage),
        jobs=[StageJob(str(run.folder.path), stage) for run in runs],
        dependency=",".join(awaited) or None,
        parallel=share,
        is_last=stage == plan.jobs[-1],
    )


def _plain(name: str) -> str:
    """A job name of characters that every SLURM accepts, and of a length that its tables show."""
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", name)[:_LONGEST_NAME]


def _record(request: Request, stage: str, job: str, cluster: str | None, run: Path) -> JobRecord:
    return JobRecord(
        stage=stage,
        job=job,
        nodes=request.resources.nodes,
        ranks=request.resources.ranks,
        logs=Ledger(run).relative(log_pattern(request.folder, job)),
        dependency=request.dependency,
        name=request.name,
        cluster=cluster,
    )


def _folders(plan: Plan) -> list[Path]:
    return [run.folder.path for run in plan.runs]


def _rollback(ids: Mapping[str, list[str]], cluster: str | None, created: list[Path]) -> str:
    """Cancel a partial chain; remove new folders if no job was submitted."""
    submitted = sorted((job for jobs in ids.values() for job in jobs), key=int)
    if not submitted:
        for path in created:
            shutil.rmtree(path, ignore_errors=True)
        return ""
    cancel(submitted, cluster)
    return f". Cancelled: {', '.join(submitted)}"
