"""What is to be submitted: which runs, which of their jobs, and that nothing is in the way."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.choices import JOBS
from sesame_hpc.config import Config, find_config, load_config
from sesame_hpc.launch.finished import is_finished
from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.snapshot import active_jobs, snapshots_of
from sesame_hpc.launch.sweep import SWEEP, Point, sweep_points
from sesame_hpc.run.folder import RunFolder

__all__ = ["Plan", "Run", "make_plan"]


@dataclass(frozen=True)
class Run:
    """A run to submit; `config` has absolute paths, and `point` what a sweep varies."""

    config: Config
    point: Point | None = None

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.config.output)

    def is_finished(self, job: str) -> bool:
        return is_finished(self.folder, job)


@dataclass(frozen=True)
class Plan:
    """`jobs`, in order, for each of `runs`; a sweep's `output` holds the runs, a run's is it.

    Runs of one plan go through the same jobs, so that tasks of two arrays correspond: one that has
    finished a stage which another has not passes it at once.
    """

    output: Path
    points: tuple[Point, ...]
    runs: tuple[Run, ...]
    jobs: tuple[str, ...]

    @property
    def is_sweep(self) -> bool:
        return bool(self.points)


def make_plan(
    config: str,
    overrides: Sequence[str],
    arrays: Sequence[str] = (),
    only: str | None = None,
    first: str | None = None,
) -> Plan:
    """Everything that `sesame submit` of this is to do; finished stages and runs are left out.

    `only` one job of JOBS, or from `first` on. Raises ValueError where a run's folder has another
    config, where jobs of it are queued or running, or where an earlier stage is unfinished;
    FileNotFoundError for a config or data set that is not there.
    """
    wanted = _wanted(only, first)
    path = find_config(config)
    points = tuple(sweep_points(arrays)) if arrays else ()
    base = _absolute(load_config(path, overrides))
    _check_kind(base.output, is_sweep=bool(points))
    if points:
        runs = [_run_of_point(path, overrides, base.output, point) for point in points]
    else:
        runs = [Run(base)]
    for run in runs:
        _check(run, wanted[0])
    _refuse_active([run.folder.path for run in runs])
    unfinished = [run for run in runs if not all(run.is_finished(job) for job in wanted)]
    jobs = tuple(job for job in wanted if not all(run.is_finished(job) for run in unfinished))
    return Plan(base.output, points, tuple(unfinished), jobs)


def _wanted(only: str | None, first: str | None) -> tuple[str, ...]:
    if only and first:
        raise ValueError("give --stage for one stage, or --from-stage for it and what follows")
    if only:
        return (only,)
    return JOBS[JOBS.index(first) :] if first else JOBS


def _check_kind(output: Path, is_sweep: bool) -> None:
    """A folder is a run's or a sweep's."""
    if is_sweep and RunFolder(output).config_file.exists():
        raise ValueError(f"{output} is a run folder: give the sweep another output=FOLDER")
    if not is_sweep and (output / SWEEP).exists():
        raise ValueError(f"{output} is a sweep's folder: give --array, or another output=FOLDER")


def _run_of_point(path: Path, overrides: Sequence[str], output: Path, point: Point) -> Run:
    own = [*overrides, *point.overrides]
    loaded = load_config(path, own)
    return Run(_absolute(loaded.model_copy(update={"output": output / point.name})), point)


def _absolute(config: Config) -> Config:
    """Jobs may run elsewhere: relative paths are meant from where they are submitted."""
    data = config.data.model_copy(update={"root": _absolute_path(config.data.root)})
    return config.model_copy(update={"data": data, "output": _absolute_path(config.output)})


def _absolute_path(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _check(run: Run, first: str) -> None:
    folder = run.folder
    if "%" in str(folder.path):
        raise ValueError(f"output: {folder.path}: SLURM takes % in a log's path for its own")
    folder.check(run.config)
    folder.check_earlier(first)
    if not run.config.data.root.is_dir():
        raise FileNotFoundError(f"data.root: no folder {run.config.data.root}")


def _refuse_active(folders: Sequence[Path]) -> None:
    for snapshot in snapshots_of([Ledger(folder) for folder in folders]):
        active = active_jobs(snapshot)
        if active:
            listing = ", ".join(f"{job} ({stage})" for stage, job in active.items())
            raise ValueError(
                f"{snapshot.run} has jobs that are queued or running: {listing}. "
                f"sesame status {snapshot.run} shows them, sesame cancel {snapshot.run} ends them"
            )
