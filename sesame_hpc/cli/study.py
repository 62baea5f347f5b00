"""`sesame study`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.cli.outputs import check_output_folder
from sesame_hpc.printable import say

if TYPE_CHECKING:
    from sesame_hpc.study.plan import StudyPlan

__all__ = ["study"]


def study(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A YAML file or the name of a study.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Keys of the study (seeds=[0,1]) or settings of every arm (data.root=DIR).",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Submit the runs to SLURM with this profile."),
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Show the finished runs without training.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="With --profile: print the sbatch scripts without submitting."
        ),
    ] = False,
    parallel: Annotated[
        int | None,
        typer.Option(
            help="With --profile: runs at the same time. Default: from the profile.", min=1
        ),
    ] = None,
) -> None:
    """Train each arm of a study with each seed, and compare them with intervals.

    The runs go one after another on this machine, or with --profile as job arrays. Run the same
    command again to resume, or to see what a submitted study has finished.
    """
    if profile is None and (dry_run or parallel):
        raise ValueError("--dry-run and --parallel need --profile")
    if profile is not None and collect:
        raise ValueError("--profile and --collect exclude each other: give one of them")

    from sesame_hpc.study.plan import plan_study

    plan = plan_study(study, overrides or ())
    if not dry_run:
        data = {run.config.data.root for run in plan.runs}
        check_output_folder("output", plan.study.output, *data, inside_is_fine=True)
    if profile is not None:
        _submit(plan, profile, dry_run, parallel)
        return
    _show(plan, {} if collect else _train(plan))


def _submit(plan: "StudyPlan", profile: str, dry_run: bool, parallel: int | None) -> None:
    from sesame_hpc.launch.profile import load_profile
    from sesame_hpc.study.cluster import study_scripts, submit_study

    name, site = load_profile(profile)
    if dry_run:
        for stage, text in study_scripts(plan, site, parallel):
            say(f"# ---- {stage} ----\n{text}")
        return
    runs = submit_study(
        plan, name, site, parallel, tell=lambda stage, job: say(f"{stage:<12} job {job}")
    )
    if not runs:
        say("Nothing to submit: all runs are finished.")
    say(f"follow it: sesame status {plan.study.output}")
    say("to show the finished runs: the same command without --profile")


def _train(plan: "StudyPlan") -> Mapping[str, str]:
    """Train the unfinished runs here, unless they were submitted; {run: why it failed}."""
    from sesame_hpc.study.cluster import active_runs, was_submitted
    from sesame_hpc.study.here import train_here

    if not was_submitted(plan):
        return train_here(plan, tell=lambda text: typer.secho(text, bold=True))
    if active := active_runs(plan):
        say(f"{active} of {len(plan.runs)} runs have jobs that are queued or running.")
    return {}


def _show(plan: "StudyPlan", failed: Mapping[str, str]) -> None:
    from sesame_hpc.console import SafeConsole
    from sesame_hpc.study.results import collect
    from sesame_hpc.study.tables import print_study
    from sesame_hpc.study.write import write_study

    results = collect(plan, failed)
    numbers, page = write_study(plan, results)
    console = SafeConsole()
    print_study(results, console)
    console.print(f"Numbers: {numbers}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Page: {page}", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise FloatingPointError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
