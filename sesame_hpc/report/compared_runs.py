"""Several runs read for one page: what each came to, and which differ in their seed alone."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.choices import Part
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.nme import measured_faces, point_errors, region_errors
from sesame_hpc.plural import counted
from sesame_hpc.report.report_data import EvaluatedPart, ReportData, read_report_data
from sesame_hpc.run.folder import RunFolder

__all__ = ["ComparedRun", "Group", "common_part", "grouped", "read_runs"]

_OWN_OF_A_RUN = ("output", "seed", "log", "checkpoint", "profile")
_PLACES = ("root", "more_roots")


@dataclass(frozen=True)
class ComparedRun:
    """A run under a name that no other has."""

    name: str
    data: ReportData

    @property
    def seed(self) -> int:
        return self.data.config.seed

    def part(self, name: Part) -> EvaluatedPart | None:
        return next((part for part in self.data.parts if part.name == name), None)

    def figures(self, name: Part) -> dict[str, Any] | None:
        """Those of the last finished stage on the part."""
        part = self.part(name)
        return None if part is None else list(part.figures.values())[-1]

    def stage(self, name: Part) -> str | None:
        part = self.part(name)
        return None if part is None else list(part.figures)[-1]

    def errors(self, name: Part) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
        """NME in percent [n, 1 + R] of all points and of each region, sample ids, image names.

        Of the faces that have an error; None where labels or predictions could not be read.
        """
        part, stage = self.part(name), self.stage(name)
        if part is None or part.faces is None or stage not in part.points:
            return None
        scheme = part.faces.scheme
        errors = point_errors(part.points[stage], part.faces.landmarks, scheme)
        measured = measured_faces(errors, scheme)
        errors, faces = errors[measured], part.faces.select(measured)
        columns = np.column_stack([mean_known(errors, 1), region_errors(errors, scheme)])
        return 100.0 * columns, faces.sample_ids, list(faces.images)

    @property
    def samples(self) -> int:
        """Crops that the finished stages trained on."""
        stages = self.data.config.stages
        return sum(
            int(result.get("steps", 0)) * getattr(stages, stage).batch_size
            for stage, result in self.data.results.items()
        )


@dataclass(frozen=True)
class Group:
    """Runs with the same settings and different seeds."""

    name: str
    runs: list[ComparedRun]


def read_runs(folders: Sequence[Path], data: Path | None = None) -> list[ComparedRun]:
    """The runs in the order given; `data` is the folder of their data set if it has moved.

    Raises FileNotFoundError for a folder without a run; ValueError for one that is given twice,
    for damaged settings, and for runs with different landmarks.
    """
    resolved = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, resolved, strict=True):
        if resolved.count(place) > 1:
            raise ValueError(f"{folder} is given twice; give each run once")
    names = _names(resolved)
    runs = [
        ComparedRun(name, read_report_data(RunFolder(folder), data))
        for name, folder in zip(names, folders, strict=True)
    ]
    first = runs[0]
    for run in runs[1:]:
        if run.data.scheme.points != first.data.scheme.points:
            raise ValueError(
                f"{run.data.folder.path} has the landmarks of {run.data.scheme.name}, "
                f"{first.data.folder.path} those of {first.data.scheme.name}: runs with different "
                "landmarks cannot be compared"
            )
    return runs


def _names(folders: Sequence[Path]) -> list[str]:
    """The paths without the directories that all of them share."""
    if len(folders) == 1:
        return [folders[0].name]
    shared = os.path.commonpath(folders)
    return [Path(os.path.relpath(folder, shared)).as_posix() for folder in folders]


def common_part(runs: Sequence[ComparedRun]) -> Part | None:
    """test if every run with results has been evaluated on it, else heldout; None without any."""
    finished = [run for run in runs if run.data.parts]
    parts: tuple[Part, ...] = ("test", "heldout")
    shared = (part for part in parts if finished and all(run.part(part) for run in finished))
    return next(shared, None)


def grouped(runs: Sequence[ComparedRun]) -> list[Group]:
    """Runs whose settings differ in nothing but the seed, in the order of their first ones.

    Where a run writes, what it logs, and where its data set is do not count. Two runs with the same
    seed are not put into one group.
    """
    groups: list[tuple[dict[str, Any], list[ComparedRun]]] = []
    for run in runs:
        settings = _settings(run)
        for theirs, members in groups:
            if settings == theirs and run.seed not in [each.seed for each in members]:
                members.append(run)
                break
        else:
            groups.append((settings, [run]))
    return [Group(_group_name(members), members) for _, members in groups]


def _settings(run: ComparedRun) -> dict[str, Any]:
    values = run.data.config.model_dump(mode="json", exclude=set(_OWN_OF_A_RUN))
    values["data"] = {key: each for key, each in values["data"].items() if key not in _PLACES}
    return values | {"identity": _training_data(run)}


def _training_data(run: ComparedRun) -> Any:
    """Format, scheme and test part, which do not depend on the seed that divides training faces."""
    identity = run.data.identity or {}
    return {key: identity.get(key) for key in ("format", "scheme", "crops", "test", "unlabelled")}


def _group_name(runs: Sequence[ComparedRun]) -> str:
    if len(runs) == 1:
        return runs[0].name
    parents = {Path(run.name).parent.as_posix() for run in runs}
    shared = parents.pop() if len(parents) == 1 else "."
    name = runs[0].name if shared == "." else shared
    return f"{name} ({counted(len(runs), 'seed')})"
