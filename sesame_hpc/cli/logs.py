"""`sesame logs`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import Job
from sesame_hpc.printable import say

__all__ = ["logs"]


def logs(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with jobs.")],
    stage: Annotated[
        Job | None,
        typer.Option(metavar="STAGE", help="The stage. Default: the latest one that has started."),
    ] = None,
    rank: Annotated[int, typer.Option(help="The rank whose log to show.", min=0)] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing until the job ends.")
    ] = False,
) -> None:
    """Print the log of one of the run's jobs, across all its restarts."""
    from sesame_hpc.launch.logs import find_log
    from sesame_hpc.launch.logs import follow as read_on

    log = find_log(run, stage, rank)
    say(f"# {log.stage}, job {log.job}, rank {rank}: {log.path}", err=True)
    if follow:
        try:
            for text in read_on(log):
                say(text, end="")
        except KeyboardInterrupt:
            return
    elif log.path.exists():
        text = log.path.read_text(encoding="utf-8", errors="replace")
        say(text, end="")
    else:
        say("# nothing yet: the job has not written anything", err=True)
