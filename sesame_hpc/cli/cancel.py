"""`sesame cancel`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import Job
from sesame_hpc.printable import say

__all__ = ["cancel"]


def cancel(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run or sweep folder.")],
    stage: Annotated[
        Job | None,
        typer.Option(
            metavar="STAGE", help="Cancel only this stage and the stages that depend on it."
        ),
    ] = None,
) -> None:
    """Cancel the queued and running jobs of a run. Checkpoints stay; submit again to resume."""
    from sesame_hpc.launch.cancel import cancel_jobs
    from sesame_hpc.launch.status import run_folders

    cancelled = cancel_jobs(run_folders(run), stage)
    for job in cancelled:
        name = "" if job.run == run else f"{job.run.name}: "
        say(f"cancelled {name}{job.stage}, job {job.job or '-'}, which was {job.state.lower()}")
    if not cancelled:
        say(f"no job of {run}{f' from {stage} on' if stage else ''} is queued or running")
