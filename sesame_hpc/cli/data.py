"""`sesame data`: synthetic faces, checks, and images of a data set's annotations."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.cli.data_check import check
from sesame_hpc.cli.data_export import export
from sesame_hpc.cli.data_show import show
from sesame_hpc.cli.outputs import check_output_folder
from sesame_hpc.printable import say

__all__ = ["data_app", "synthesise_with_bar"]

data_app = typer.Typer(
    help="Check, view, convert, pack and render data sets.", no_args_is_help=True
)
data_app.command()(check)
data_app.command()(export)
data_app.command()(show)


def synthesise_with_bar(
    out: Path, train: int, test: int, seed: int, size: int, workers: int | None = None
) -> None:
    """`synthesise` with a progress bar; `workers` None takes all cores of this process."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from sesame_hpc.console import SafeConsole
    from sesame_hpc.synth import synthesise

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    console = SafeConsole()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("synthetic faces", total=train + test)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        synthesise(out, train, test, seed, size, workers, advance)
    say(f"{train} training and {test} test faces in {out}")


@data_app.command()
def synth(
    out: Annotated[Path, typer.Option(help="The folder to write, in the layout of WFLW.")],
    train: Annotated[int, typer.Option(help="Number of training faces.", min=1)],
    test: Annotated[int, typer.Option(help="Number of test faces.", min=0)],
    seed: Annotated[
        int, typer.Option(help="Random seed; the same seed gives the same bytes.", min=0)
    ] = 0,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.", min=64)] = 256,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes. Default: one per core.", min=1)
    ] = None,
) -> None:
    """Render synthetic faces with 98 landmarks."""
    check_output_folder("--out", out)
    synthesise_with_bar(out, train, test, seed, size, workers)
