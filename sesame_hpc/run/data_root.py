"""Where a run's data set is: one rule for all readers of a run."""

from pathlib import Path

from sesame_hpc.config import Config
from sesame_hpc.run.folder import RunFolder

__all__ = ["run_config"]


def run_config(folder: RunFolder, data: Path | None = None) -> Config:
    """The run's config with the current root of its data set.

    `data`, if given, is that root. Of a run with several data sets it is that of the one whose
    folder has the same name, or of the first, and the others stay where they are. A relative root
    of the config is relative to the directory in which the run was last started, or to the current
    one if it does not exist there.
    """
    config = folder.config()
    start = folder.start_directory()
    roots = tuple(_root(each, start) for each in config.data.roots)
    if data:
        names = [root.resolve().name for root in roots]
        name = data.resolve().name
        moved = names.index(name) if name in names else 0
        roots = (*roots[:moved], data, *roots[moved + 1 :])
    update = {"root": roots[0], "more_roots": roots[1:]}
    return config.model_copy(update={"data": config.data.model_copy(update=update)})


def _root(root: Path, start: Path | None) -> Path:
    of_start = root if start is None else start / root
    return of_start if of_start.is_dir() else root
