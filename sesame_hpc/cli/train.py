"""`sesame train`."""

from typing import Annotated

import typer

from sesame_hpc.cli.choices import Stage

__all__ = ["train"]


def train(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped preset.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings over the file's: model.width=64"),
    ] = None,
    stage: Annotated[
        Stage | None,
        typer.Option(metavar="STAGE", help="Only preliminary, pretrain or finetune."),
    ] = None,
) -> None:
    """Train all three stages on this machine. The same command again goes on where it stopped."""
    from sesame_hpc.config import find_config, load_config

    loaded = load_config(find_config(config), overrides or ())

    from sesame_hpc.stages import run

    run.train(loaded, only=stage)
