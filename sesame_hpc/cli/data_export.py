"""`sesame data export`: a data set in another format."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import WRITTEN_FORMATS, one_of
from sesame_hpc.cli.data_options import (
    AllowOutside,
    FormatName,
    MissingPoint,
    OnErrorChoice,
    Root,
    SchemeName,
    parse_missing,
)
from sesame_hpc.cli.outputs import check_output_folder
from sesame_hpc.plural import counted
from sesame_hpc.printable import say

__all__ = ["export"]


def export(
    root: Root,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help=f"The format to write: {one_of(WRITTEN_FORMATS)}, or a plugin.",
            autocompletion=lambda: WRITTEN_FORMATS,
        ),
    ],
    format: FormatName = None,
    scheme: SchemeName = None,
    missing: MissingPoint = None,
    on_error: OnErrorChoice = "fail",
    copy: Annotated[bool, typer.Option("--copy", help="Copy images instead of linking.")] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Convert a data set to another format, with links to its images."""
    from sesame_hpc.data.formats.export import export_annotations, left_out
    from sesame_hpc.data.formats.parsed import OnError
    from sesame_hpc.data.formats.readers import file_format
    from sesame_hpc.schemes import load_scheme

    check_output_folder("OUT", out, root)
    loaded = load_scheme(scheme) if scheme else None
    source = file_format(root, format, loaded)
    skip, point = OnError(on_error == "skip"), parse_missing(missing)
    parts = export_annotations(
        root, out, to, source, loaded, copy, point, skip, allow_outside=allow_outside
    )
    for split, table in parts.items():
        say(f"{counted(len(table), f'{split} face')} from {source} to {to} in {out}")
    if lost := left_out(next(iter(parts.values())), to):
        say(f"{to} cannot store {', '.join(lost)}: left out")
