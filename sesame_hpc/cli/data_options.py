"""Options that several of the `sesame data` commands take."""

import math
from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import DATA_FORMATS, OnError

__all__ = [
    "AllowOutside",
    "FormatName",
    "MissingPoint",
    "OnErrorChoice",
    "Root",
    "SchemeName",
    "parse_missing",
]

Root = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]
FormatName = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help=f"The data set's format: {', '.join(DATA_FORMATS)}, or a plugin. Default: detected.",
    ),
]
SchemeName = Annotated[
    str | None,
    typer.Option(help="Name or YAML file of the landmark scheme. Default: that of the format."),
]
MissingPoint = Annotated[
    str | None,
    typer.Option(
        "--missing",
        metavar="X,Y",
        help="Coordinates that mean a point is not labelled, such as -1,-1.",
    ),
]
OnErrorChoice = Annotated[
    OnError,
    typer.Option(help="Faces that cannot be read: refuse the data set, or leave them out."),
]
AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        help="Also copy images outside DIR, to which absolute paths, .. or symbolic links lead.",
    ),
]


def parse_missing(text: str | None) -> tuple[float, float] | None:
    """The point that `--missing` gives.

    Raises:
        ValueError: it is not two numbers.
    """
    if text is None:
        return None
    try:
        x, y = map(float, text.split(","))
        if math.isfinite(x) and math.isfinite(y):
            return x, y
    except ValueError:
        pass
    raise ValueError(f"--missing is {text!r}; takes two numbers, such as -1,-1")
