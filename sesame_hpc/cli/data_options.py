"""Options that several of the `sesame data` commands take."""

import math
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from sesame_hpc.choices import DATA_FORMATS, OnError, one_of

__all__ = [
    "AllowOutside",
    "FormatName",
    "MissingPoint",
    "OnErrorChoice",
    "Root",
    "SchemeName",
    "format_option",
    "parse_missing",
]

Root = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]


def format_option(default: str = "detected") -> OptionInfo:
    """`--format`; `default` says what is taken without it."""
    return typer.Option(
        metavar="FORMAT",
        help=f"The data set's format: {one_of(DATA_FORMATS)}, or a plugin. Default: {default}.",
        autocompletion=lambda: DATA_FORMATS,
    )


FormatName = Annotated[str | None, format_option()]
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
