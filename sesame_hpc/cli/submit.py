"""`sesame submit`."""

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.choices import Job
from sesame_hpc.cli.errors import ExitCode
from sesame_hpc.printable import say

if TYPE_CHECKING:
    from sesame_hpc.launch.plan import Plan
    from sesame_hpc.launch.profile import Profile

__all__ = ["submit"]


def submit(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A YAML file or the name of a preset.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Settings that override the file, such as model.width=64."
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The cluster profile. Default: $SESAME_PROFILE.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check the data set as a submission does, and print the sbatch scripts without "
            "submitting or writing anything; where there is SLURM, ask it whether it would take "
            "them. Exit code 1 if it would not.",
        ),
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Run the same chain on this machine, in the background.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Wait for the end of all jobs. Exit code 1 if one did not complete."
        ),
    ] = False,
    stage: Annotated[
        Job | None,
        typer.Option(
            metavar="STAGE", help="Submit one job only: preliminary, pretrain, finetune or report."
        ),
    ] = None,
    from_stage: Annotated[
        Job | None, typer.Option(metavar="STAGE", help="Submit this stage and the stages after it.")
    ] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,..",
            help="One run per value; repeat the option to run every combination.",
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(help="With --array: runs at the same time. Default: from the profile.", min=1),
    ] = None,
) -> None:
    """Submit the three stages and the report to SLURM as a chain of dependent jobs."""
    if parallel and (local or not array):
        raise ValueError("--parallel needs --array on SLURM; --local runs one point at a time")
    if local and dry_run:
        raise ValueError(
            "--dry-run prints what would be sent to SLURM, and --local sends it nothing"
        )

    from sesame_hpc.extras import require_module
    from sesame_hpc.launch.plan import make_plan
    from sesame_hpc.launch.profile import load_profile

    require_module("submitit", "sesame submit")
    if wait and dry_run:
        raise ValueError("--dry-run submits nothing that --wait could wait for")
    name, site = load_profile(profile, required=not local)
    plan = make_plan(config, overrides or (), array or (), stage, from_stage)
    if not plan.jobs:
        say(f"Nothing to submit: {plan.output} has already finished everything.")
        return
    from sesame_hpc.launch.start_checks import check_starts

    check_starts(plan.runs, plan.jobs)
    if dry_run:
        _print_scripts(plan, site, parallel)
    else:
        if local:
            _start_here(plan, name, site)
        else:
            _submit(plan, name, site, parallel)
        if wait:
            _wait(plan)


def _print_scripts(plan: "Plan", site: "Profile", parallel: int | None) -> None:
    from sesame_hpc.launch.slurm_commands import try_out
    from sesame_hpc.launch.submit import scripts

    refused = False
    answers = shutil.which("sbatch") is not None
    for stage, text in scripts(plan, site, parallel):
        say(f"# ---- {stage} ----\n{text}")
        if answers:
            taken, said = try_out(text)
            refused, answers = refused or taken is False, taken is not None
            verdict = {True: "would take it", False: "would refuse it", None: "cannot say"}[taken]
            say(f"sesame: {stage}: sbatch {verdict}: {said}", err=True)
    if refused:
        raise typer.Exit(ExitCode.FINDINGS)


def _submit(plan: "Plan", name: str | None, site: "Profile", parallel: int | None) -> None:
    from sesame_hpc.launch.submit import submit_plan

    submit_plan(plan, name, site, parallel, tell=lambda stage, job: say(f"{stage:<12} job {job}"))
    _say_how_to_follow(plan)


def _wait(plan: "Plan") -> None:
    from sesame_hpc.console import SafeConsole
    from sesame_hpc.launch.status_table import overview_table, run_table
    from sesame_hpc.launch.wait import wait_for_end

    statuses = wait_for_end([run.folder.path for run in plan.runs], tell=say)
    if len(statuses) == 1:
        SafeConsole().print(run_table(statuses[0]))
    else:
        SafeConsole().print(overview_table(str(plan.output), statuses, plan.output))
    if any(status.has_failed for status in statuses) or not all(
        stage.state == "COMPLETED"
        for status in statuses
        for stage in status.stages
        if stage.stage in plan.jobs
    ):
        raise typer.Exit(ExitCode.FINDINGS)


def _start_here(plan: "Plan", name: str | None, site: "Profile") -> None:
    from sesame_hpc.launch.local_chain import start_chain

    process = start_chain(plan, name, site)
    say(f"{', '.join(plan.jobs)}: running in the background as process {process}")
    _say_how_to_follow(plan)


def _say_how_to_follow(plan: "Plan") -> None:
    say(f"to follow it: sesame status {plan.output}")
