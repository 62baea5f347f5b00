"""`train`: the entry point of the command line, torchrun and cluster jobs.

Checks the run folder first, so that a finished run is reported without importing torch.
"""

from rich.console import Console

from sesame_hpc.choices import STAGES
from sesame_hpc.config import Config
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.summary import print_summary, write_summary

__all__ = ["train"]


def train(config: Config, only: str | None = None) -> None:
    """Train the stages of `config` that are not finished yet, or `only` one of them.

    Run again to resume. Each stage starts from the results of the one before in the run folder;
    rank 0 writes the summary and the report at the end.

    Raises:
        ValueError: the folder has a run with another config, or the stage before `only` is
            unfinished.
        Interrupted: the ranks agreed to stop, within a stage or before one.
    """
    folder = RunFolder(config.output)
    folder.check(config)
    wanted = STAGES if only is None else (only,)
    if wanted[0] not in STAGES:
        raise ValueError(f"unknown stage {only!r}; the stages are {', '.join(STAGES)}")
    folder.check_earlier(wanted[0])
    if folder.is_complete() or (only and folder.result(only)):
        _print_complete(folder, only)
        return

    from sesame_hpc.distributed.stop_consensus import StopConsensus
    from sesame_hpc.distributed.world import connect
    from sesame_hpc.report import report_line
    from sesame_hpc.run.faces import read_faces
    from sesame_hpc.stages.finetune import finetune
    from sesame_hpc.stages.preliminary import preliminary
    from sesame_hpc.stages.pretrain import pretrain
    from sesame_hpc.stages.session import Session
    from sesame_hpc.training.environment import environment
    from sesame_hpc.training.monitor import Monitor
    from sesame_hpc.training.precision import resolve_precision

    stages = {"preliminary": preliminary, "pretrain": pretrain, "finetune": finetune}
    world = connect(config.runtime)
    with world.detecting_failures():
        earlier = folder.config() if folder.config_file.exists() else None
        resolved = resolve_precision(config, earlier, world.device) if world.is_main else None
        config = world.share(resolved)
        if world.is_main:
            folder.open(config, environment())
        world.barrier()
        faces = read_faces(config, folder)
        console = Console()
        with Monitor(config, folder.metrics_file, folder.tensorboard, world, console) as monitor:
            session = Session(config, folder, world, faces, monitor, StopConsensus(world))
            for name in wanted:
                if folder.result(name) is None:
                    session.raise_if_stopping(name)
                    stages[name](session)
                    world.barrier()
        if world.is_main:
            if all(folder.result(name) for name in STAGES):
                write_summary(folder, faces.scheme.name)
                print_summary(folder, console)
            console.print(report_line(folder), markup=False, highlight=False, soft_wrap=True)


def _print_complete(folder: RunFolder, only: str | None) -> None:
    console = Console()
    what = f"stage {only}" if only else "all stages"
    console.print(f"[bold]This run is complete[/]: {what} of {folder.path} are finished.")
    if folder.is_complete():
        print_summary(folder, console)
