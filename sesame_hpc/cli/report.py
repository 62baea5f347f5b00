"""`sesame report`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.cli.outputs import check_output_file

__all__ = ["report"]


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, as `sesame train` leaves it.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page's file. Default: report.html in the run folder.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The data set's folder, where it has moved since.")
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
) -> None:
    """One HTML page of a run, finished or not: its figures, images, curves and settings."""
    from sesame_hpc.report import write_report
    from sesame_hpc.run.folder import RunFolder

    check_output_file("--out", out, run)
    path = write_report(RunFolder(run), out, data)
    typer.echo(f"report: {path}")
    if open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
