"""`train`: the entry that the command line, torchrun and the cluster share.

Looks at the run folder first, so that a finished run answers without importing torch.
"""

from rich.console import Console

from sesame_hpc.config import STAGES, Config
from sesame_hpc.stages.folder import RunFolder
from sesame_hpc.stages.summary import print_summary

__all__ = ["train"]


def train(config: Config, only: str | None = None) -> None:
    """Train the stages of `config` that are not finished yet, or `only` one of them.

    Run again to resume. Raises ValueError where the folder holds a run with another config, or
    where a stage is asked for whose predecessor is unfinished.
    """
    folder = RunFolder(config.output)
    folder.check(config)
    wanted = STAGES if only is None else (only,)
    if wanted[0] not in STAGES:
        raise ValueError(f"unknown stage {only!r}; the stages are {', '.join(STAGES)}")
    folder.check_earlier(wanted[0])
    if folder.is_complete() or (only and folder.result(only)):
        _say_complete(folder, only)
        return
    from sesame_hpc.stages.execute import execute

    execute(config, folder, wanted)


def _say_complete(folder: RunFolder, only: str | None) -> None:
    console = Console()
    what = f"stage {only}" if only else "all stages"
    console.print(f"[bold]This run is complete[/]: {what} of {folder.path} finished before.")
    if folder.is_complete():
        print_summary(folder, console)
