"""A study on a cluster: its runs as job arrays, those that share a stage after those that train it.

Runs go in ranks. Those of rank 0 take nothing from others; one of rank n takes stages from runs of
lower ranks. Each rank is a chain of arrays, a job for each stage as `sesame submit --array` makes
it; a stage that runs of a rank may take waits until the arrays that train it have ended. A task
that finds the stage unfinished there trains it itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sesame_hpc.launch import slurm
from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.plan import Plan, Run, absolute, plan_runs
from sesame_hpc.launch.profile import Profile
from sesame_hpc.launch.snapshot import active_jobs, snapshots_of
from sesame_hpc.launch.submit import scripts, submit_plan
from sesame_hpc.launch.sweep import Point
from sesame_hpc.run.shared import note_source
from sesame_hpc.study.plan import StudyPlan, StudyRun

__all__ = ["active_runs", "study_scripts", "submit_study", "was_submitted"]


@dataclass(frozen=True)
class _Chain:
    """The runs of one rank; `awaits` {stage: ranks whose jobs of that stage must have ended}."""

    plan: Plan
    awaits: dict[str, set[int]]


def submit_study(
    plan: StudyPlan,
    name: str | None,
    profile: Profile,
    parallel: int | None,
    tell: Callable[[str, str], None],
) -> int:
    """Submit what is not finished, and return how many runs that is; `tell(stage, id)` a job.

    Where sbatch refuses a job, all of the study's are cancelled again. Raises ValueError as
    `sesame submit` does.
    """
    chains = _chains(plan)
    for run in plan.runs:
        sources = plan.sources[run.name]
        if sources:
            note_source(run.folder, {stage: each.folder for stage, each in sources.items()})
    ids: list[dict[str, str]] = []
    try:
        for chain in chains:
            after = {
                stage: [ids[rank][stage] for rank in sorted(ranks) if stage in ids[rank]]
                for stage, ranks in chain.awaits.items()
            }
            ids.append(submit_plan(chain.plan, name, profile, parallel, tell, after))
    except BaseException:
        if submitted := [job for chain_ids in ids for job in chain_ids.values()]:
            slurm.cancel(submitted)
        raise
    return sum(len(chain.plan.runs) for chain in chains)


def study_scripts(
    plan: StudyPlan, profile: Profile, parallel: int | None
) -> Iterator[tuple[str, str]]:
    """(stage, sbatch script) of each job, without what chains await of each other."""
    for chain in _chains(plan):
        yield from scripts(chain.plan, profile, parallel)


def was_submitted(plan: StudyPlan) -> bool:
    """Whether runs of the study were given to SLURM before."""
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
    ranks: dict[str, int] = {}
    for run in plan.runs:
        sources = plan.sources[run.name].values()
        ranks[run.name] = max((ranks[source.name] + 1 for source in sources), default=0)
    output = absolute(plan.runs[0].config).output.parents[2]
    chains = []
    for rank in range(max(ranks.values()) + 1):
        own = [run for run in plan.runs if ranks[run.name] == rank]
        awaits: dict[str, set[int]] = {}
        for run in own:
            for stage, source in plan.sources[run.name].items():
                awaits.setdefault(stage, set()).add(ranks[source.name])
        chains.append(_Chain(plan_runs(output, [_submitted(run) for run in own]), awaits))
    return chains


def _submitted(run: StudyRun) -> Run:
    return Run(absolute(run.config), Point(run.name, ()))
