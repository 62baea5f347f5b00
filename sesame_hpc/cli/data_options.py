"""Options that several of the `sesame data` commands take."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Root", "SchemeName"]

Root = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]
SchemeName = Annotated[
    str | None,
    typer.Option(help="Name or YAML file of the landmark scheme. Default: that of the format."),
]
