"""`sesame report`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.cli.outputs import check_output_file
from sesame_hpc.printable import say

__all__ = ["report"]


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder written by `sesame train`.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: report.html in the run folder.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The data set's folder, if it has moved since training.")
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Write one HTML page about a run, finished or not: figures, images, curves and settings."""
    from sesame_hpc.cli.progress_bar import progress_bar
    from sesame_hpc.report import REPORT_NAME, write_report
    from sesame_hpc.run.folder import RunFolder

    if data is not None and not data.is_dir():
        raise FileNotFoundError(f"--data: {data} is not a directory")
    check_output_file("--out", out, run)
    if out is None and run.is_dir():
        check_output_file("RUN", run / REPORT_NAME)
    unread: list[str] = []
    with progress_bar() as progress:
        progress("writing the report", 0, None)
        path = write_report(RunFolder(run), out, data, unread.append)
    say(f"report: {path}")
    for reason in unread:
        say(f"note: figures that need the faces are left out: {reason}", err=True)
    if open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
