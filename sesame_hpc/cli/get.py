"""`sesame get`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sesame_hpc.printable import say

__all__ = ["get"]


def get(
    what: Annotated[
        Literal["yunet"],
        typer.Argument(metavar="WHAT", help="yunet: the face detector of `sesame predict`."),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="Another URL, or a local copy of the file. The checksum must match."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write. Default: where `sesame predict` looks for it."),
    ] = None,
) -> None:
    """Download a file that is not part of sesame-hpc, and verify its checksum."""
    from sesame_hpc.inference.detector_weights import SOURCE, get_weights

    path = get_weights(source or SOURCE, to)
    say(f"{what}: {path}")
