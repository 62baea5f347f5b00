"""A study on this machine: its runs one after another, in this process."""

import os
from collections.abc import Callable

from sesame_hpc.distributed.interruption import exit_when_saved
from sesame_hpc.run.results import stage_damage
from sesame_hpc.run.settings import check_config
from sesame_hpc.run.shared import note_source
from sesame_hpc.study.plan import StudyPlan, StudyRun

__all__ = ["train_here"]


def train_here(plan: StudyPlan, tell: Callable[[str], None]) -> dict[str, str]:
    """Train the unfinished runs, with `tell` before each; {run's name: why it failed}.

    A stage that an earlier run of the study has trained with the same settings is taken from it. A
    run whose loss is not finite does not stop the others. A signal saves and exits with code 75;
    the same command resumes.

    Raises ValueError if the folder of a run has a run with another config, or for several ranks.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(
            "sesame study trains its runs in one process on one device; for several ranks per run, "
            "submit it with --profile"
        )
    for run in plan.runs:
        check_config(run.folder, run.config)
    failed = {}
    left = [run for run in plan.runs if not _is_whole(run)]
    for number, run in enumerate(left, start=1):
        tell(f"Run {number} of {len(left)}: arm {run.arm}, seed {run.seed}")
        try:
            with exit_when_saved(run.folder.last_saved):
                _train(plan, run)
        except FloatingPointError as error:
            failed[run.name] = str(error)
    return failed


def _is_whole(run: StudyRun) -> bool:
    """Whether the run is finished, and nothing that it left is damaged."""
    folder = run.folder
    return folder.is_complete() and not any(stage_damage(folder, each) for each in folder.stages)


def _train(plan: StudyPlan, run: StudyRun) -> None:
    from sesame_hpc.stages.train import train

    sources = plan.sources[run.name]
    note_source(run.folder, {stage: source.folder for stage, source in sources.items()})
    train(run.config)
