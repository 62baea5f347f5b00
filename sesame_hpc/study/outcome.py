"""What one finished run of a study came to: errors of each face, samples, seconds, its curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.choices import STAGES
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.nme import measured_faces, point_errors, region_errors
from sesame_hpc.evaluation.predictions import read_predictions, read_sample_ids
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.shared import taken_from
from sesame_hpc.study.plan import StudyRun
from sesame_hpc.training.records import MetricsLog

__all__ = ["FaceReader", "Outcome", "read_outcome"]


@dataclass(frozen=True)
class Outcome:
    """One run. `errors` are NME in percent, float64 [n, 1 + R]: all points, then each region.

    Regions that no face has labelled are left out, and faces without the normaliser; NaN is a
    region of which a face has no labelled point.

    `faces` are int64 [n] sample ids, ascending; `images` name the face of each. `samples` and
    `seconds` are {stage: what it took}, also where the stage was taken from another run, and
    `taken` says from which. `curve` is the held-out NME in percent over training samples.
    """

    run: StudyRun
    regions: tuple[str, ...]
    scheme: str
    errors: np.ndarray
    faces: np.ndarray
    images: tuple[str, ...]
    samples: dict[str, int]
    seconds: dict[str, float]
    taken: dict[str, Path]
    curve: list[tuple[int, float]]

    @property
    def nme(self) -> np.ndarray:
        """Means of the columns of `errors`."""
        return mean_known(self.errors, 0)


class FaceReader:
    """Reads the faces that a run is judged on; those of one data set and seed once."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._read: dict[tuple[str, int], Annotations] = {}

    def __call__(self, run: StudyRun) -> Annotations:
        """Raises ValueError where the data set has no such part."""
        config = run_config(run.folder)
        key = (config.data.model_dump_json(), run.seed)
        if key not in self._read:
            faces = getattr(read_faces(config, run.folder), self._part)
            if faces is None:
                raise ValueError(
                    f"part is {self._part}, and {config.data.root} has no {self._part} part; "
                    "take heldout"
                )
            self._read[key] = faces
        return self._read[key]


def read_outcome(run: StudyRun, part: str, weights: str, faces: FaceReader) -> Outcome | None:
    """The run's outcome on `part` by its `weights`; None where it is not finished.

    `weights` is last, or ema for the average where the run keeps one. Raises ValueError where its
    files do not fit.
    """
    folder = run.folder
    if not folder.is_complete():
        return None
    path = folder.predictions(run.last_stage, part, weights == "ema" and run.keeps_average)
    every = faces(run)
    found = every.select(np.isin(every.sample_ids, read_sample_ids(path)))
    errors = point_errors(read_predictions(path, found), found.landmarks, found.scheme)
    measured = measured_faces(errors, found.scheme)
    found, errors = found.select(measured), errors[measured]
    of_regions = region_errors(errors, found.scheme)
    judged = ~np.isnan(of_regions).all(axis=0)
    columns = np.column_stack([mean_known(errors, 1), of_regions[:, judged]])
    order = np.argsort(found.sample_ids)
    results = {stage: folder.result(stage) or {} for stage in run.config.stages.run}
    samples = {stage: _samples(run, stage, result) for stage, result in results.items()}
    return Outcome(
        run=run,
        regions=tuple(
            name for name, known in zip(found.scheme.regions, judged, strict=True) if known
        ),
        scheme=found.scheme.name,
        errors=100.0 * columns[order],
        faces=found.sample_ids[order],
        images=tuple(found.images[row] for row in order),
        samples=samples,
        seconds={stage: float(result["seconds"]) for stage, result in results.items()},
        taken=taken_from(folder),
        curve=_curve(MetricsLog.read(folder.metrics_file), run, samples),
    )


def _samples(run: StudyRun, stage: str, result: dict[str, Any]) -> int:
    return int(result["steps"]) * getattr(run.config.stages, stage).batch_size


def _curve(
    records: Sequence[dict[str, Any]], run: StudyRun, samples: dict[str, int]
) -> list[tuple[int, float]]:
    """(samples seen by the stage and those before it, held-out NME in percent)."""
    curve, before = [], 0
    for stage in (name for name in STAGES if name in samples):
        batch = getattr(run.config.stages, stage).batch_size
        curve += [
            (before + record["step"] * batch, record["heldout_nme"])
            for record in records
            if record["stage"] == stage and record.get("heldout_nme") is not None
        ]
        before += samples[stage]
    return curve
