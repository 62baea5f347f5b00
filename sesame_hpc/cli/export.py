"""`sesame export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import CoordinateStage, ExportFormat, Weights
from sesame_hpc.cli.outputs import check_output_folder
from sesame_hpc.extras import require
from sesame_hpc.printable import say

__all__ = ["export"]


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder written by `sesame train`.")
    ],
    to: Annotated[ExportFormat, typer.Option(help="The format of the model.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write to. Default: export, export-ema, ... in RUN."),
    ] = None,
    stage: Annotated[
        CoordinateStage | None,
        typer.Option(help="The stage whose weights to use. Default: the last one of the run."),
    ] = None,
    weights: Annotated[
        Weights, typer.Option(help="The stage's last weights, or their moving average (ema).")
    ] = "last",
    flip: Annotated[
        bool, typer.Option("--flip", help="Export a model that averages with the mirrored crop.")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="With --to onnx: also write an 8-bit model and measure its cost in NME."
        ),
    ] = False,
    images: Annotated[
        bool,
        typer.Option(
            "--images",
            help="With --to onnx: also write a model that takes whole images and boxes and gives "
            "pixels, for C++ and JavaScript.",
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="The run's data set, if it has moved since training.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", help="The model's licence, for its card, as hubs call it: cc-by-nc-4.0."
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Then upload the folder to the Hugging Face Hub as this model."
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With --push: only you can see a new model.")
    ] = False,
) -> None:
    """Export a run's network, with a model card; the result is checked against PyTorch."""
    if private and push is None:
        raise ValueError("--private needs --push NAME")
    if push is not None:
        require("hub", "--push")
        licence = licence or _ask_licence()
    require("export" if to == "onnx" else "torch", "sesame export")
    if out is None:
        check_output_folder("--out", run)
    else:
        check_output_folder("--out", out, run, inside_is_fine=True)

    from sesame_hpc.cli.progress_bar import progress_bar
    from sesame_hpc.inference.export import export_run
    from sesame_hpc.inference.variant import Variant

    variant = Variant(stage, weights, flip)
    with progress_bar() as progress:
        written = export_run(
            run,
            to,
            out,
            variant=variant,
            int8=int8,
            images=images,
            data=data,
            licence=licence,
            progress=progress,
        )
    if push is not None:
        from sesame_hpc.inference import hub

        say(hub.push(written[0].parent, push, private=private))


def _ask_licence() -> str:
    """Ask at a terminal; raises ValueError elsewhere."""
    if not sys.stdin.isatty():
        raise ValueError(
            "--push needs --license: a model is published under terms, and those of the images "
            "that it was trained on bind it too (cc-by-nc-4.0, apache-2.0, other, ...)"
        )
    return str(typer.prompt("The model's licence, as hubs call it (cc-by-nc-4.0, other, ...)"))
