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
    """Train all three stages on this machine. The same command again goes on where it stopped.

    Started by srun or torchrun, each process is a rank. SIGUSR2 and SIGTERM save after the step;
    then the job is requeued, or the exit code is 75.
    """
    from sesame_hpc.config import find_config, load_config

    loaded = load_config(find_config(config), overrides or ())

    from sesame_hpc.launch.ranks import join_slurm_step
    from sesame_hpc.launch.requeue import run_interruptible
    from sesame_hpc.stages import run

    join_slurm_step()
    run_interruptible(lambda: run.train(loaded, only=stage), loaded.output)
