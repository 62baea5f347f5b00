"""The data of a report: a run folder, and labels and images if they are available."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.choices import COORDINATE_STAGES, Part
from sesame_hpc.config import Config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.evaluation.predictions import read_predictions, read_spread
from sesame_hpc.plural import counted
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.energy import consumed_energy
from sesame_hpc.run.faces import Faces, read_faces, run_scheme
from sesame_hpc.run.folder import RunFolder, read_verified_json
from sesame_hpc.run.work import StageCost, jobs_of, stage_costs
from sesame_hpc.schemes import Scheme
from sesame_hpc.training.problems import run_problems
from sesame_hpc.training.records import MetricsLog

__all__ = ["PARTS", "EvaluatedPart", "ReportData", "read_report_data"]

PARTS: dict[Part, str] = {"heldout": "held-out", "test": "test"}


@dataclass(frozen=True)
class EvaluatedPart:
    """The results of the finished coordinate stages on one part of the data set.

    `figures` {stage: JSON of its figures}. If labels and predictions could be read, also `faces`,
    `points` {stage: [N, K, 2] pixels} and `face_nme` {stage: percent [N]}, and with both stages
    `change`: finetune minus preliminary, from `evaluation.compare`. `spread` {stage: [N, K]} is
    that of the heat maps, of stages that kept it. `ema` has the same for the averaged weights of
    the stages that have them.
    """

    name: Part
    figures: dict[str, dict[str, Any]]
    faces: Annotations | None = None
    points: dict[str, np.ndarray] = field(default_factory=dict)
    spread: dict[str, np.ndarray] = field(default_factory=dict)
    change: dict[str, Any] | None = None
    ema: "EvaluatedPart | None" = None

    @property
    def title(self) -> str:
        return PARTS[self.name]

    @property
    def count(self) -> int:
        return int(next(iter(self.figures.values()))["faces"])

    @property
    def faces_text(self) -> str:
        """ "500 held-out faces"."""
        return counted(self.count, f"{self.title} face")

    @property
    def face_nme(self) -> dict[str, np.ndarray]:
        """NME of each face in percent; NaN of one without the normaliser."""
        return {
            stage: 100.0
            * mean_known(point_errors(points, self.faces.landmarks, self.faces.scheme), 1)
            for stage, points in self.points.items()
            if self.faces is not None
        }


@dataclass(frozen=True)
class ReportData:
    """A run, read once. `unread` is why labels or predictions could not be read, if so.

    `problems` are what is damaged, and why the run ended without success: a sentence each.
    `identity` is the data set that the run began with (run/data_identity.py), None if not known.
    """

    folder: RunFolder
    config: Config
    scheme: Scheme
    results: dict[str, dict[str, Any]]
    masking: dict[str, float] | None
    records: list[dict[str, Any]]
    starts: list[dict[str, Any]]
    parts: list[EvaluatedPart]
    train_faces: int | None
    unread: str | None
    problems: list[str] = field(default_factory=list)
    costs: dict[str, StageCost] = field(default_factory=dict)
    identity: dict[str, Any] | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        return self.config.stages.run

    @property
    def unfinished(self) -> list[str]:
        return [stage for stage in self.stages if stage not in self.results]

    def of_stage(self, stage: str, key: str) -> list[tuple[int, float]]:
        """(step, value) of the stage's records that have a number under `key`."""
        return [
            (record["step"], record[key])
            for record in self.records
            if record["stage"] == stage and record.get(key) is not None
        ]


def read_report_data(folder: RunFolder, data: Path | None = None) -> ReportData:
    """Read the run, finished or not; `data` is the folder of its data set if that has moved.

    Raises FileNotFoundError if there is no run, ValueError for a damaged config or scheme.
    """
    config = run_config(folder, data)
    scheme = run_scheme(config, folder)
    problems = run_problems(folder)
    results: dict[str, dict[str, Any]] = {
        stage: found
        for stage in config.stages.run
        if (found := _whole(folder.result, stage)) is not None
    }
    faces, unread = _read_faces(config, folder)
    parts = []
    for name in PARTS:
        part, reason = _read_part(name, results, faces, folder)
        unread = unread or reason
        if part is not None:
            parts.append(part)
    metrics = folder.metrics_file
    records = MetricsLog.read(metrics) if metrics.exists() else []
    return ReportData(
        folder=folder,
        config=config,
        scheme=scheme,
        results=results,
        masking=_whole(lambda: folder.masking),
        records=records,
        starts=folder.starts(),
        costs=stage_costs(folder.path, records, consumed_energy(jobs_of(folder.path))),
        parts=parts,
        train_faces=None if faces is None else len(faces.train),
        unread=unread,
        problems=problems,
        identity=_whole(read_verified_json, folder.data_file),
    )


def _whole(read: Callable[..., Any], *arguments: Any) -> Any:
    """None for a damaged file, which is among the run's problems."""
    try:
        return read(*arguments)
    except ValueError:
        return None


def _read_faces(config: Config, folder: RunFolder) -> tuple[Faces | None, str | None]:
    try:
        return read_faces(config, folder), None
    except (ValueError, OSError) as error:
        return None, f"the data set could not be read: {error}"


def _read_part(
    name: Part, results: dict[str, dict[str, Any]], faces: Faces | None, folder: RunFolder
) -> tuple[EvaluatedPart | None, str | None]:
    """The part with whatever is available, and why its predictions could not be read."""
    figures: dict[str, dict[str, Any]] = {
        stage: results[stage][name]
        for stage in COORDINATE_STAGES
        if results.get(stage, {}).get(name) is not None
    }
    averaged = {stage: table["ema"] for stage, table in figures.items() if "ema" in table}
    if not figures:
        return None, None
    annotations = None if faces is None else getattr(faces, name)
    part, reason = _with_points(EvaluatedPart(name, figures), annotations, folder, False)
    if averaged:
        ema, its_reason = _with_points(EvaluatedPart(name, averaged), annotations, folder, True)
        part, reason = replace(part, ema=ema), reason or its_reason
    return part, reason


def _with_points(
    part: EvaluatedPart, faces: Annotations | None, folder: RunFolder, averaged: bool
) -> tuple[EvaluatedPart, str | None]:
    """The part with labels and predictions, or the reason why they are missing."""
    if faces is None:
        return part, None
    paths = {stage: folder.predictions(stage, part.name, averaged) for stage in part.figures}
    try:
        points = {stage: read_predictions(path, faces) for stage, path in paths.items()}
        spreads = {stage: read_spread(path, faces) for stage, path in paths.items()}
    except (ValueError, OSError) as error:
        return part, f"the predictions could not be read: {error}"
    spread = {stage: each for stage, each in spreads.items() if each is not None}
    change = _change(points, faces)
    return replace(part, faces=faces, points=points, spread=spread, change=change), None


def _change(points: dict[str, np.ndarray], faces: Annotations) -> dict[str, Any] | None:
    if len(points) < len(COORDINATE_STAGES):
        return None
    before, after = (points[stage] for stage in COORDINATE_STAGES)
    return compare(before, after, faces)
