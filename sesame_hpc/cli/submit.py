"""`sesame submit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.choices import Job

if TYPE_CHECKING:
    from sesame_hpc.launch.plan import Plan
    from sesame_hpc.launch.profile import Profile

__all__ = ["submit"]


def submit(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped preset.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings over the file's: model.width=64"),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The cluster profile. Default: SESAME_PROFILE.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the sbatch scripts; submit and write nothing.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="The same chain on this machine, in the background.")
    ] = False,
    stage: Annotated[
        Job | None,
        typer.Option(metavar="STAGE", help="Only preliminary, pretrain, finetune or report."),
    ] = None,
    from_stage: Annotated[
        Job | None, typer.Option(metavar="STAGE", help="This stage and those after it.")
    ] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A,B,..", help="A run for each value; several give all pairs."),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(help="With --array: runs at once. Default: the profile's.", min=1)
    ] = None,
) -> None:
    """Send the stages, the evaluation and the report to SLURM, each after the one before."""
    if parallel and (local or not array):
        raise ValueError("--parallel is for --array on SLURM; --local runs one point at a time")
    if local and dry_run:
        raise ValueError("--dry-run prints what SLURM would get; --local sends it nothing")

    from sesame_hpc.launch.plan import make_plan
    from sesame_hpc.launch.profile import load_profile

    name, site = load_profile(profile, required=not local)
    plan = make_plan(config, overrides or (), array or (), stage, from_stage)
    if not plan.jobs:
        typer.echo(f"Nothing to submit: {plan.output} has finished all of it.")
    elif dry_run:
        _print_scripts(plan, site, parallel)
    elif local:
        _start_here(plan, name, site)
    else:
        _submit(plan, name, site, parallel)


def _print_scripts(plan: "Plan", site: "Profile", parallel: int | None) -> None:
    from sesame_hpc.launch.submit import scripts

    for stage, text in scripts(plan, site, parallel):
        typer.echo(f"# ---- {stage} ----\n{text}")


def _submit(plan: "Plan", name: str | None, site: "Profile", parallel: int | None) -> None:
    from sesame_hpc.launch.submit import submit_plan

    submit_plan(
        plan, name, site, parallel, tell=lambda stage, job: typer.echo(f"{stage:<12} job {job}")
    )
    _say_how_to_follow(plan)


def _start_here(plan: "Plan", name: str | None, site: "Profile") -> None:
    from sesame_hpc.launch.local_chain import start_chain

    process = start_chain(plan, name, site)
    typer.echo(f"{', '.join(plan.jobs)}: in the background, process {process}")
    _say_how_to_follow(plan)


def _say_how_to_follow(plan: "Plan") -> None:
    typer.echo(f"follow it: sesame status {plan.output}")
