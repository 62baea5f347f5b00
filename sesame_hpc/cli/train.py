"""`sesame train`."""

import os
from typing import Annotated

import typer

from sesame_hpc.choices import Stage
from sesame_hpc.cli.outputs import check_output_folder

__all__ = ["train"]


def train(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A YAML file or the name of a preset.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Settings that override the file, such as model.width=64."
        ),
    ] = None,
    stage: Annotated[
        Stage | None,
        typer.Option(
            metavar="STAGE", help="Run one stage only: preliminary, pretrain or finetune."
        ),
    ] = None,
) -> None:
    """Train all three stages on this machine. Run the same command again to resume.

    Under srun or torchrun each process is one rank. On Ctrl-C, SIGHUP, SIGTERM, SIGUSR1 and SIGUSR2
    the run saves a checkpoint after the current step and exits with code 75; after the last two,
    SLURM requeues the job.
    """
    from sesame_hpc.compile_caches import keep_caches_on_the_node
    from sesame_hpc.config import load_config

    keep_caches_on_the_node(os.environ)
    loaded = load_config(config, overrides or ())
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
