"""`sesame data show`: images of annotations, augmentations and masks."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.choices import Split
from sesame_hpc.cli.data_options import (
    FormatName,
    MissingPoint,
    OnErrorChoice,
    Root,
    SchemeName,
    parse_missing,
)
from sesame_hpc.cli.outputs import check_output_file
from sesame_hpc.plural import counted
from sesame_hpc.printable import say

if TYPE_CHECKING:
    from sesame_hpc.data.annotations import Annotations

__all__ = ["show"]

_FACES, _FACES_IN_ROWS = 24, 4
_SIDE = 192


def show(
    root: Root,
    format: FormatName = None,
    split: Annotated[Split, typer.Option(help="The part to draw faces from.")] = "train",
    scheme: SchemeName = None,
    missing: MissingPoint = None,
    on_error: OnErrorChoice = "skip",
    out: Annotated[Path, typer.Option(help="The image to write.")] = Path("faces.png"),
    count: Annotated[
        int | None,
        typer.Option(
            help=f"Number of faces. Default: {_FACES}, or {_FACES_IN_ROWS} with one row per face.",
            min=1,
        ),
    ] = None,
    findings: Annotated[
        bool,
        typer.Option(
            "--findings", help="Draw faces with errors or warnings, the most severe first."
        ),
    ] = False,
    augment: Annotated[
        bool, typer.Option("--augment", help="Draw one row per face: each augmentation on its own.")
    ] = False,
    masked: Annotated[
        bool,
        typer.Option(
            "--masked", help="Draw one row per face: masked inputs of the pretrain stage."
        ),
    ] = False,
    masking: Annotated[
        Path | None,
        typer.Option(
            help="With --masked: a run's masking.json. Default: every region equally likely."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed of the augmentations and masks.", min=0)
    ] = 0,
) -> None:
    """Draw faces with their landmarks and boxes on one sheet."""
    import numpy as np

    from sesame_hpc.data.formats.parsed import OnError
    from sesame_hpc.data.formats.readers import detect_format, read_annotations
    from sesame_hpc.schemes import load_scheme

    if (augment and masked) or (masking is not None and not masked):
        raise ValueError("--augment and --masked exclude each other, and --masking needs --masked")
    check_output_file("--out", out, root)
    loaded = load_scheme(scheme) if scheme else None
    source = format or detect_format(root, loaded)
    skip = OnError(on_error == "skip")
    faces = read_annotations(root, source, split, loaded, parse_missing(missing), skip)
    wanted = count or (_FACES_IN_ROWS if augment or masked else _FACES)
    if os.path.realpath(out) in {os.path.realpath(faces.image_path(k)) for k in range(len(faces))}:
        raise ValueError(f"--out: {out} is an image of the data set; give another file")
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out: {out}: the sheet is a PNG; give a name that ends in .png")
    rows = np.arange(len(faces))
    if findings:
        from sesame_hpc.data.check import check_data
        from sesame_hpc.data.check.shapes import odd_rows

        threads = os.cpu_count() or 1
        report = check_data(root, source, loaded, missing=parse_missing(missing), threads=threads)
        grave = tuple(each for each in report.findings if each.level != "note")
        rows = np.array(odd_rows(faces, grave), dtype=np.int64)
        if not len(rows):
            say(f"no error or warning about any of {len(faces)} faces: nothing drawn")
            return
    shown = faces.select(rows[:wanted])
    if augment or masked:
        _draw_rows(shown, root, source, out, masked, masking, seed)
    else:
        _draw_faces(shown, out)
    say(f"{len(shown)} of {counted(len(faces), 'face')} drawn in {out}")


def _draw_faces(shown: "Annotations", out: Path) -> None:
    from sesame_hpc.data.viewing.show import contact_sheet

    columns = min(6, len(shown))
    contact_sheet(shown, out, rows=-(-len(shown) // columns), columns=columns)


def _draw_rows(
    shown: "Annotations",
    root: Path,
    source: str,
    out: Path,
    masked: bool,
    masking: Path | None,
    seed: int,
) -> None:
    from sesame_hpc.config import DataConfig
    from sesame_hpc.data.pack import read_settings

    data, size = DataConfig.model_validate({"root": root, "format": source}), _SIDE
    if source == "pack":
        packed = read_settings(root)
        data = data.model_copy(update={"box": packed.box, "augment": packed.augment})
        size = min(size, packed.size or size)
    if masked:
        from sesame_hpc.stages.show_masked import masked_sheet, read_masking

        probabilities = read_masking(masking, shown.scheme) if masking else None
        masked_sheet(shown, data, out, probabilities, size, seed)
    else:
        from sesame_hpc.data.viewing.show_augment import augmentation_sheet

        augmentation_sheet(shown, data, out, size, seed)
