"""`sesame train`."""

import os
from typing import Annotated

import typer

from sesame_hpc.choices import Stage
from sesame_hpc.cli.outputs import check_output_folder

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

    Started by srun or torchrun, each process is a rank. Ctrl-C and SIGHUP, SIGTERM, SIGUSR1 and
    SIGUSR2 save after the step; then the exit code is 75, or SLURM requeues the job after the last
    two.
    """
    from sesame_hpc.config import find_config, load_config

    loaded = load_config(find_config(config), overrides or ())
    if os.environ.get("RANK", "0") == "0":
        check_output_folder("output", loaded.output, loaded.data.root, inside_is_fine=True)

    from sesame_hpc.distributed.interruption import exit_when_saved
    from sesame_hpc.run.folder import RunFolder
    from sesame_hpc.stages.train import train as train_run

    ends_well = exit_when_saved(RunFolder(loaded.output).last_saved)
    if "SLURM_JOB_ID" in os.environ:
        from sesame_hpc.launch.ranks import join_slurm_step
        from sesame_hpc.launch.requeue import requeue_when_saved

        join_slurm_step()
        ends_well = requeue_when_saved(loaded.output)
    with ends_well:
        train_run(loaded, only=stage)
