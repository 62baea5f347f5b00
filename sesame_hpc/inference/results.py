"""Landmarks as files: JSON, CSV, and one 300-W `.pts` file a face."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.choices import OutputFormat
from sesame_hpc.files import write_json_atomic, write_text_atomic
from sesame_hpc.inference.calibration import THRESHOLD
from sesame_hpc.inference.inputs import Input
from sesame_hpc.schemes import Scheme

__all__ = ["FoundFace", "write_results"]


_FROM_CORNERS = 0.5


@dataclass(frozen=True, eq=False)
class FoundFace:
    """One face: of which file, frame (None for an image) and place in it; arrays as `Landmarks`.

    `order` is its place in the file of boxes, if there was one.
    """

    source: Input
    frame: int | None
    face: int
    order: int
    box: np.ndarray
    points: np.ndarray
    confidence: np.ndarray
    expected_error: np.ndarray

    @property
    def label(self) -> str:
        """The name of the image, or `video#frame`."""
        return self.source.name if self.frame is None else f"{self.source.name}#{self.frame}"


def write_results(
    out: Path, format: OutputFormat, faces: list[FoundFace], scheme: Scheme, faults: list[str]
) -> list[Path]:
    """Write the faces below the folder `out`; every file is whole or not there. What was written.

    json: `landmarks.json`. csv: `landmarks.csv` (image, x0, y0, ..., as `sesame eval
    --predictions` takes it) and, row by row beside it, `confidence.csv`. pts: `NAME.pts`, and
    `NAME-2.pts` and so on for further faces, 1-based pixel centres. Faces are in the order of the
    boxes' file.
    """
    faces = sorted(faces, key=lambda face: face.order)
    if format == "json":
        write_json_atomic(out / "landmarks.json", _json(faces, scheme, faults))
        return [out / "landmarks.json"]
    if format == "csv":
        return _write_csv(out, faces, scheme.num_landmarks)
    return _write_pts(out, faces)


def _json(faces: list[FoundFace], scheme: Scheme, faults: list[str]) -> dict[str, Any]:
    return {
        "scheme": scheme.name,
        "landmarks": list(scheme.points),
        "coordinates": "pixels of the original image, its upper left corner is (0, 0)",
        "confidence": f"probability that the error is at most {THRESHOLD:g} % of the normaliser",
        "expected_error": "percent of the normaliser",
        "faces": [
            {
                "image": face.source.name,
                "frame": face.frame,
                "box": face.box.tolist(),
                "points": np.round(face.points, 4).tolist(),
                "confidence": _known(face.confidence),
                "expected_error": _known(face.expected_error),
            }
            for face in faces
        ],
        "failed": faults,
    }


def _known(values: np.ndarray) -> list[float] | None:
    """None stands for figures that an uncalibrated model does not have."""
    return None if any(map(math.isnan, values)) else np.round(values, 4).tolist()


def _write_csv(out: Path, faces: list[FoundFace], landmarks: int) -> list[Path]:
    points = [["image", *(f"{axis}{k}" for k in range(landmarks) for axis in "xy")]]
    about = [["image", "face", "x_min", "y_min", "x_max", "y_max"]]
    about[0] += [f"c{k}" for k in range(landmarks)]
    for face in faces:
        points.append([face.label, *(f"{value:.4f}" for value in face.points.ravel())])
        about.append([face.label, str(face.face), *(f"{value:.4f}" for value in face.box)])
        about[-1] += [f"{value:.4f}" for value in face.confidence]
    files = {out / "landmarks.csv": points, out / "confidence.csv": about}
    for path, rows in files.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_text_atomic(path, text.getvalue())
    return list(files)


def _write_pts(out: Path, faces: list[FoundFace]) -> list[Path]:
    stems: dict[str, set[str]] = {}
    for face in faces:
        stems.setdefault(_stem(face), set()).add(face.source.name)
    written = []
    for face in faces:
        shared = len(stems[_stem(face)]) > 1
        name = face.source.name.replace(".", "_") + _frame(face) if shared else _stem(face)
        number = f"-{face.face + 1}" if face.face else ""
        path = out / f"{name}{number}.pts"
        write_text_atomic(path, _pts(face.points + _FROM_CORNERS))
        written.append(path)
    return written


def _stem(face: FoundFace) -> str:
    return Path(face.source.name).with_suffix("").as_posix() + _frame(face)


def _frame(face: FoundFace) -> str:
    return "" if face.frame is None else f"/{face.frame:06d}"


def _pts(points: np.ndarray) -> str:
    lines = "".join(f"{x:.4f} {y:.4f}\n" for x, y in points)
    return f"version: 1\nn_points: {len(points)}\n{{\n{lines}}}\n"
