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
            "--from", help="Another address, or a file that you have. It must be the same."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write. Default: where `sesame predict` looks for it."),
    ] = None,
) -> None:
    """Download what sesame-hpc does not bring along, and check that it is the right file."""
    from sesame_hpc.inference.detector_weights import SOURCE, get_weights

    path = get_weights(source or SOURCE, to)
    say(f"{what}: {path}")
