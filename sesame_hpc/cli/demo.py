"""`sesame demo`."""

from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.extras import require
from sesame_hpc.printable import say

if TYPE_CHECKING:
    from sesame_hpc.config import Config

__all__ = ["demo"]


def demo(
    config: Annotated[str, typer.Option(help="A YAML file or the name of a preset.")] = "demo",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Settings that override the file, such as model.width=64."
        ),
    ] = None,
    train: Annotated[int, typer.Option(help="Number of synthetic training faces.", min=1)] = 2000,
    test: Annotated[int, typer.Option(help="Number of synthetic test faces.", min=1)] = 400,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.", min=64)] = 128,
) -> None:
    """Render synthetic faces, unless they are there already, and train all three stages on them."""
    from sesame_hpc.config import load_config

    loaded = load_config(config, overrides or ())
    if loaded.data.format != "wflw":
        raise ValueError("data.format: must be wflw, the format of the demo's faces")

    require("train", "training")
    from sesame_hpc.cli.data import synthesise_with_bar
    from sesame_hpc.distributed.interruption import exit_when_saved
    from sesame_hpc.run.folder import RunFolder
    from sesame_hpc.stages.train import train as train_run

    synthesise_with_bar(loaded.data.root, train, test, loaded.seed, size)
    with exit_when_saved(RunFolder(loaded.output).last_saved):
        train_run(loaded)
    say(_where_things_lie(loaded))


def _where_things_lie(config: "Config") -> str:
    from sesame_hpc.report import REPORT_NAME

    lines = {
        "report": config.output / REPORT_NAME,
        "numbers": config.output / "summary.json",
        "curves": config.output / "metrics.jsonl",
        "images": config.output / "images",
        "checkpoints": config.output / "checkpoints",
        "faces": config.data.root,
    }
    listing = [f"  {name:<12} {path}" for name, path in lines.items()]
    evaluate = f"sesame eval {config.output} --data {config.data.root}"
    return "\n".join(["", "What the demo wrote:", *listing, f"  next         {evaluate}"])
