"""`sesame data`: synthetic faces, checks, and pictures of a data set's annotations."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.cli.choices import Format, Split
from sesame_hpc.cli.data_check import check
from sesame_hpc.cli.data_export import export

__all__ = ["data_app", "synthesise_with_bar"]

data_app = typer.Typer(help="Make, check and look at data sets.", no_args_is_help=True)
data_app.command()(check)
data_app.command()(export)


def synthesise_with_bar(
    out: Path, train: int, test: int, seed: int, size: int, workers: int | None = None
) -> None:
    """`synthesise` with a progress bar; `workers` None takes all cores of this process."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from sesame_hpc.data.synth import synthesise

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    console = Console()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("synthetic faces", total=train + test)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        synthesise(out, train, test, seed, size, workers, advance)
    typer.echo(f"{train} training and {test} test faces in {out}")


@data_app.command()
def synth(
    out: Annotated[Path, typer.Option(help="The folder to write, in the layout of WFLW.")],
    train: Annotated[int, typer.Option(help="Training faces.", min=1)],
    test: Annotated[int, typer.Option(help="Test faces.", min=0)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
    size: Annotated[int, typer.Option(help="Side of the pictures in pixels.", min=64)] = 256,
    workers: Annotated[
        int | None, typer.Option(help="Processes. Default: one a core.", min=1)
    ] = None,
) -> None:
    """Render synthetic faces with 98 landmarks."""
    synthesise_with_bar(out, train, test, seed, size, workers)


@data_app.command()
def show(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")],
    format: Annotated[
        Format | None, typer.Option(help="The data set's format. Default: what is there.")
    ] = None,
    split: Annotated[Split, typer.Option(help="The part to draw from.")] = "train",
    scheme: Annotated[
        str | None,
        typer.Option(help="A landmark scheme's name or YAML file. Default: the format's."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("faces.png"),
    count: Annotated[int, typer.Option(help="Faces to draw.", min=1)] = 24,
) -> None:
    """Draw faces with their landmarks and boxes on one sheet."""
    import numpy as np

    from sesame_hpc.data.readers import detect_format, read_annotations
    from sesame_hpc.data.show import contact_sheet
    from sesame_hpc.schemes import load_scheme

    loaded = load_scheme(scheme) if scheme else None
    annotations = read_annotations(root, format or detect_format(root, loaded), split, loaded)
    shown = annotations.select(np.arange(min(count, len(annotations))))
    columns = min(6, len(shown))
    contact_sheet(shown, out, rows=-(-len(shown) // columns), columns=columns)
    typer.echo(f"{len(shown)} of {len(annotations)} faces drawn in {out}")
