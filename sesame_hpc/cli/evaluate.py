"""`sesame eval`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import CoordinateStage, Part
from sesame_hpc.cli.data_options import MissingPoint, format_option, parse_missing
from sesame_hpc.cli.outputs import check_output_file
from sesame_hpc.extras import require
from sesame_hpc.plural import counted

__all__ = ["evaluate"]


def evaluate(
    data: Annotated[
        list[Path],
        typer.Option(help="The data set's folder; repeat it for several of one scheme together."),
    ],
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="A run folder, or a weights.safetensors in one."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate this npz or CSV file of predictions, in pixels, instead of RUN."
        ),
    ] = None,
    format: Annotated[str | None, format_option("that of RUN, or what is there")] = None,
    split: Annotated[
        Part | None,
        typer.Option(
            help="The part to evaluate on; heldout is the training faces that RUN kept aside. "
            "Default: test if there is one, else train."
        ),
    ] = None,
    stage: Annotated[
        CoordinateStage | None,
        typer.Option(help="The stage whose weights to use. Default: the last of the run."),
    ] = None,
    missing: MissingPoint = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="With --predictions: the landmark scheme. Default: that of the format."),
    ] = None,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip", help="Add a row for the flip test: the average with the mirrored crop."
        ),
    ] = False,
    scales: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,...",
            help="Add a row for the multi-scale test: the average over crops of these sizes, "
            "relative to that of training, such as 0.92,1,1.08.",
        ),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A second run, for paired differences with intervals.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write the figures to this JSON file.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write the figures to this CSV file.")
    ] = None,
) -> None:
    """Report NME, failure rates and AUC on a data set, per facial region, with 95 % intervals."""
    if (run is None) == (predictions is None):
        raise ValueError("give either RUN or --predictions FILE")
    if predictions is not None and not predictions.is_file():
        raise FileNotFoundError(f"--predictions: {predictions} is not a file")
    read = [*data, *(each for each in (run, predictions, compare) if each)]
    for option, path in (("--json", json), ("--csv", csv)):
        check_output_file(option, path, *read)
    missing_point = parse_missing(missing)
    of_run = {"--stage": stage, "--flip": flip, "--scales": scales, "--compare": compare}
    if predictions is not None and (given := [name for name, value in of_run.items() if value]):
        raise ValueError(f"{', '.join(given)}: for RUN, not for --predictions, which are final")

    from sesame_hpc.cli.progress_bar import progress_bar
    from sesame_hpc.console import SafeConsole
    from sesame_hpc.data.crop_scales import parse_scales

    require("train", "sesame eval")
    from sesame_hpc.stages.evaluate import evaluate_file, evaluate_run
    from sesame_hpc.stages.source import Source
    from sesame_hpc.stages.tables import print_figures, write_figures

    sizes = parse_scales(scales)
    source = Source(data[0], format, split, tuple(data[1:]), missing_point)
    if run is not None:
        with progress_bar() as progress:
            figures = evaluate_run(
                run, source, stage, flip=flip, scales=sizes, other=compare, progress=progress
            )
    else:
        assert predictions is not None
        figures = evaluate_file(predictions, source, scheme)
    if os.environ.get("RANK", "0") == "0":
        where = ", ".join(map(str, data))
        if (more := len(figures["sources"]) - len(data)) > 0:
            where += f" and {counted(more, 'more data set')} of the run"
        print_figures(figures, f"{run or predictions} on {where}", SafeConsole())
        write_figures(figures, json, csv)
