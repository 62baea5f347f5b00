"""`sesame verify`."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A run folder, an exported model, or a pack.")
    ],
) -> None:
    """Read all files and compare them with their checksums.

    Exit code 0: every file is whole. 1: damage, one line per file. `sesame train` makes again what
    a run needs, with the same command as before.
    """
    from sesame_hpc.plural import counted
    from sesame_hpc.stages.verify import verify as run

    found = run(path)
    for fault in found.faults:
        typer.echo(f"sesame: {fault}", err=True)
    state = f"{counted(len(found.faults), 'fault')}" if found.faults else "all are whole"
    typer.echo(f"{counted(found.files, 'file')} with checksums in {path}: {state}")
    if found.faults:
        raise typer.Exit(1)
