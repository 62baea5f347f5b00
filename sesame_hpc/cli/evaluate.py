"""`sesame eval`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.cli.choices import Format, ScoredStage, Split

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, as `sesame train` leaves it.")
    ],
    data: Annotated[Path, typer.Option(help="The data set's folder.")],
    format: Annotated[
        Format | None, typer.Option(help="The data set's format. Default: the run's.")
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(help="The part to evaluate on. Default: test if there is one, else train."),
    ] = None,
    stage: Annotated[ScoredStage, typer.Option(help="The stage whose weights to take.")] = (
        "finetune"
    ),
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file too.")] = None,
) -> None:
    """Normalised mean error of a run's network on a data set, per facial region."""
    from sesame_hpc.stages.evaluate import evaluate_run

    evaluate_run(run, data, format, split, stage, json_path=json)
