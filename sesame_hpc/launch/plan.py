"""What to submit: which runs and which of their jobs, after all checks."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sesame_hpc.choices import JOBS, STAGES
from sesame_hpc.config import Config, find_config, load_config
from sesame_hpc.directories import no_directory
from sesame_hpc.launch.finished import is_finished
from sesame_hpc.launch.ledger import Ledger
from sesame_hpc.launch.snapshot import active_jobs, snapshots_of
from sesame_hpc.launch.sweep import SWEEP, Point, sweep_points
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import check_config

__all__ = ["Plan", "Run", "absolute", "make_plan", "plan_runs", "refuse_active"]


@dataclass(frozen=True)
class Run:
    """A run to submit; `config` has absolute paths, `point` is its point of a sweep."""

    config: Config
    point: Point | None = None

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.config.output)

    def is_finished(self, job: str) -> bool:
        missing = job in STAGES and job not in self.config.stages.run
        return missing or is_finished(self.folder, job)


@dataclass(frozen=True)
class Plan:
    """`jobs`, in order, for each of `runs`; `output` is the run's folder, or the sweep's.

    All runs of a plan have the same jobs, so that the tasks of its job arrays correspond; the task
    of a stage that its run has finished ends at once.
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
    """What `sesame submit` has to do, without finished stages and runs.

    `only` one job of JOBS, or from `first` on. Raises ValueError if a run's folder has another
    config, if its jobs are queued or running, or if an earlier stage is unfinished;
    FileNotFoundError for a missing config or data set.
    """
    wanted = _wanted(only, first)
    path = find_config(config)
    points = tuple(sweep_points(arrays)) if arrays else ()
    base = absolute(load_config(path, overrides))
    _check_kind(base.output, is_sweep=bool(points))
    if points:
        runs = [_run_of_point(path, overrides, base.output, point) for point in points]
    else:
        runs = [Run(base)]
    return plan_runs(base.output, runs, wanted)


def plan_runs(output: Path, runs: Sequence[Run], wanted: Sequence[str] = JOBS) -> Plan:
    """What is left to do of the jobs `wanted` of these runs; raises as `make_plan` does."""
    for run in runs:
        _check(run, wanted[0])
    refuse_active([run.folder.path for run in runs])
    unfinished = [run for run in runs if not all(run.is_finished(job) for job in wanted)]
    jobs = tuple(job for job in wanted if not all(run.is_finished(job) for run in unfinished))
    points = tuple(run.point for run in runs if run.point is not None)
    return Plan(output, points, tuple(unfinished), jobs)


def _wanted(only: str | None, first: str | None) -> tuple[str, ...]:
    if only and first:
        raise ValueError("give --stage for one stage, or --from-stage for it and what follows")
    if only:
        return (only,)
    return JOBS[JOBS.index(first) :] if first else JOBS


def _check_kind(output: Path, is_sweep: bool) -> None:
    """Raise ValueError if the folder is a run's and not a sweep's, or the reverse."""
    if is_sweep and RunFolder(output).config_file.exists():
        raise ValueError(f"{output} is a run folder: give the sweep another output=FOLDER")
    if not is_sweep and (output / SWEEP).exists():
        raise ValueError(f"{output} is a sweep's folder: give --array, or another output=FOLDER")


def _run_of_point(path: Path, overrides: Sequence[str], output: Path, point: Point) -> Run:
    own = [*overrides, *point.overrides]
    loaded = load_config(path, own)
    return Run(absolute(loaded.model_copy(update={"output": output / point.name})), point)


def absolute(config: Config) -> Config:
    """With absolute paths, since jobs may run in another directory."""
    first, *more = map(_absolute_path, config.data.roots)
    update: dict[str, Any] = {"root": first, "more_roots": tuple(more)}
    if config.data.unlabelled is not None:
        update["unlabelled"] = _absolute_path(config.data.unlabelled)
    if config.data.box_file is not None:
        update["unlabelled_boxes"] = str(_absolute_path(config.data.box_file))
    data = config.data.model_copy(update=update)
    return config.model_copy(update={"data": data, "output": _absolute_path(config.output)})


def _absolute_path(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _check(run: Run, first: str) -> None:
    folder = run.folder
    if "%" in str(folder.path):
        raise ValueError(f"output: {folder.path}: % in the path of a log is special to SLURM")
    check_config(folder, run.config)
    folder.check_earlier(first)
    for root in run.config.data.roots:
        if not root.is_dir():
            raise FileNotFoundError(f"data.root: {no_directory(root)}")
    unlabelled = run.config.data.unlabelled if "pretrain" in run.config.stages.run else None
    if unlabelled is not None and not unlabelled.is_dir():
        raise FileNotFoundError(f"data.unlabelled: {no_directory(unlabelled)}")


def refuse_active(folders: Sequence[Path]) -> None:
    """Raise ValueError naming the jobs of these run folders that are queued or running."""
    for snapshot in snapshots_of([Ledger(folder) for folder in folders]):
        active = active_jobs(snapshot)
        if active:
            listing = ", ".join(f"{job} ({stage})".strip() for stage, job in active.items())
            raise ValueError(
                f"{snapshot.run} has jobs that are queued or running: {listing}. "
                f"sesame status {snapshot.run} shows them, sesame cancel {snapshot.run} ends them"
            )
