"""`sesame cancel`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import Job

__all__ = ["cancel"]


def cancel(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a sweep's.")],
    stage: Annotated[
        Job | None,
        typer.Option(metavar="STAGE", help="Only this stage, and those that wait for it."),
    ] = None,
) -> None:
    """End the queued and running jobs of a run. What it has saved stays; submit again to go on."""
    from sesame_hpc.launch.cancel import cancel_jobs
    from sesame_hpc.launch.status import run_folders

    cancelled = cancel_jobs(run_folders(run), stage)
    for job in cancelled:
        name = "" if job.run == run else f"{job.run.name}: "
        typer.echo(
            f"cancelled {name}{job.stage}, job {job.job or '-'}, which was {job.state.lower()}"
        )
    if not cancelled:
        typer.echo(f"no job of {run}{f' from {stage} on' if stage else ''} is queued or running")
