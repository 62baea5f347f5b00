"""`sesame report`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.cli.outputs import check_output_file
from sesame_hpc.directories import no_directory
from sesame_hpc.printable import say

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A run folder written by `sesame train`; several are compared on one page.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write. Default: report.html in the run folder; of several runs, "
            "comparison.html here."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The data set's folder, if it has moved since training.")
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Write one HTML page about a run, finished or not, or one that compares several runs.

    Of several, those that differ in their seed alone are taken together, and the others are
    compared with the first, face by face.
    """
    from sesame_hpc.cli.progress_bar import progress_bar
    from sesame_hpc.report import COMPARISON_NAME, REPORT_NAME, write_comparison, write_report
    from sesame_hpc.run.folder import RunFolder

    if data is not None and not data.is_dir():
        raise FileNotFoundError(f"--data: {no_directory(data)}")
    several = len(runs) > 1
    if several:
        out = out or Path(COMPARISON_NAME)
    check_output_file("--out", out, *runs)
    if out is None and runs[0].is_dir():
        check_output_file("RUN", runs[0] / REPORT_NAME)
    unread: list[str] = []
    with progress_bar() as progress:
        progress("writing the report", 0, None)
        if several:
            assert out is not None
            path = write_comparison(runs, out, data, unread.append)
        else:
            path = write_report(RunFolder(runs[0]), out, data, unread.append)
    say(f"report: {path}")
    for reason in unread:
        say(f"note: figures that need the faces are left out: {reason}", err=True)
    if open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
