"""`sesame verify`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.printable import say

__all__ = ["verify"]


def verify(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A run folder, an exported model, or a pack.")
    ],
) -> None:
    """Read every file and compare it with its checksum.

    Exit codes: 0 all files are intact, 1 some are damaged, with one line per file. Whatever a
    damaged run needs, the `sesame train` command that started it makes again.
    """
    from sesame_hpc.plural import counted
    from sesame_hpc.stages.verify import verify as run

    found = run(path)
    for problem in found.problems:
        say(f"sesame: {problem}", err=True)
    state = f"{counted(len(found.problems), 'problem')}" if found.problems else "all are whole"
    say(f"{counted(found.files, 'file')} with checksums in {path}: {state}")
    if found.problems:
        raise typer.Exit(1)
