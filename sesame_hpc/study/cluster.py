"""A study on a cluster: job arrays, in which runs that take a stage wait for those that train it.

Runs have levels. Those of level 0 take nothing from others; those of level n take stages from runs
of lower levels. Each level is a chain of arrays with a job per stage, as `sesame submit --array`
makes it.
A stage that runs of a level may take waits until the arrays that train it have ended; a task that
does not find it finished there trains it itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sesame_hpc.choices import JOBS
from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.plan import Plan, Run, absolute, plan_runs
from sesame_hpc.launch.profile import Profile
from sesame_hpc.launch.slurm_commands import cancel
from sesame_hpc.launch.snapshot import active_jobs, snapshots_of
from sesame_hpc.launch.start_checks import check_starts
from sesame_hpc.launch.submit import SubmittedPlan, scripts, submit_plan
from sesame_hpc.launch.sweep import Point
from sesame_hpc.run.shared import note_source
from sesame_hpc.study.plan import StudyPlan, StudyRun

__all__ = ["active_runs", "study_scripts", "submit_study", "was_submitted"]


@dataclass(frozen=True)
class _Chain:
    """The runs of one level; `awaits` {stage: levels whose jobs of that stage must have ended}."""

    plan: Plan
    awaits: dict[str, set[int]]


def submit_study(
    plan: StudyPlan,
    name: str | None,
    profile: Profile,
    parallel: int | None,
    tell: Callable[[str, str], None],
) -> int:
    """Submit the unfinished runs and return their number; `tell(stage, id)` after each job.

    If sbatch refuses a job, those submitted before it are cancelled. Raises ValueError and
    FileNotFoundError as `sesame submit` does.
    """
    chains = _chains(plan)
    _check_starts(chains)
    for run in plan.runs:
        sources = plan.sources[run.name]
        if sources:
            note_source(run.folder, {stage: each.folder for stage, each in sources.items()})
    done: list[SubmittedPlan] = []
    try:
        for chain in chains:
            after = {
                stage: [job for level in sorted(levels) for job in done[level].ids.get(stage, ())]
                for stage, levels in chain.awaits.items()
            }
            done.append(submit_plan(chain.plan, name, profile, parallel, tell, after))
    except BaseException:
        for earlier in done:
            cancel([job for jobs in earlier.ids.values() for job in jobs], earlier.cluster)
        raise
    return sum(len(chain.plan.runs) for chain in chains)


def study_scripts(
    plan: StudyPlan, profile: Profile, parallel: int | None
) -> Iterator[tuple[str, str]]:
    """(stage, sbatch script) of each job, without the dependencies between chains.

    Raises as `submit_study`.
    """
    chains = _chains(plan)
    _check_starts(chains)
    for chain in chains:
        yield from scripts(chain.plan, profile, parallel)


def was_submitted(plan: StudyPlan) -> bool:
    """Whether runs of the study were submitted to SLURM before."""
    return any(
        submission.executor == "slurm"
        for run in plan.runs
        for submission in Ledger(run.folder.path).submissions()
    )


def active_runs(plan: StudyPlan) -> int:
    """How many runs have jobs that are queued or running.

    Raises ValueError where SLURM cannot be asked.
    """
    snapshots = snapshots_of([Ledger(run.folder.path) for run in plan.runs])
    return sum(bool(active_jobs(snapshot)) for snapshot in snapshots)


def _chains(plan: StudyPlan) -> list[_Chain]:
    levels: dict[str, int] = {}
    for run in plan.runs:
        sources = plan.sources[run.name].values()
        levels[run.name] = max((levels[source.name] + 1 for source in sources), default=0)
    output = absolute(plan.runs[0].config).output.parents[2]
    chains = []
    for level in range(max(levels.values()) + 1):
        own = [run for run in plan.runs if levels[run.name] == level]
        awaits: dict[str, set[int]] = {}
        for run in own:
            for stage, source in plan.sources[run.name].items():
                awaits.setdefault(stage, set()).add(levels[source.name])
        chains.append(_Chain(plan_runs(output, [_submitted(run) for run in own]), awaits))
    return chains


def _check_starts(chains: list[_Chain]) -> None:
    check_starts([run for chain in chains for run in chain.plan.runs], JOBS)


def _submitted(run: StudyRun) -> Run:
    return Run(absolute(run.config), Point(run.name, ()))
