"""Landmarks as files: JSON, CSV, and one 300-W `.pts` file per face."""

import csv
import io
import math
from typing import Any

import numpy as np

from sesame_hpc.choices import OutputFormat
from sesame_hpc.files import write_bytes_atomic, write_json_atomic, write_text_atomic
from sesame_hpc.inference.calibration import THRESHOLD
from sesame_hpc.inference.outcome import FoundFace, Outcome
from sesame_hpc.inference.outputs import OutputFolder
from sesame_hpc.schemes import Scheme

__all__ = ["about_landmarks", "face_record", "table_names", "write_results"]


_FROM_CORNERS = 0.5
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TABLES = {"json": ["landmarks.json"], "csv": ["landmarks.csv", "confidence.csv"], "pts": []}


def table_names(format: OutputFormat) -> list[str]:
    """The files that hold all faces."""
    return _TABLES[format]


def write_results(
    folder: OutputFolder, format: OutputFormat, outcome: Outcome, scheme: Scheme
) -> None:
    """Write the faces below the folder; every file is whole or not there.

    json: `landmarks.json`. csv: `landmarks.csv` (image, x0, y0, ..., as `sesame eval
    --predictions` takes it) and, row by row beside it, `confidence.csv`. pts: `NAME.pts`, and
    `NAME-2.pts` and so on for further faces, 1-based pixel centres. Faces are in the order of the
    boxes' file. In CSV a name that a spreadsheet would take for a formula begins with "./". Names
    of files that are not UTF-8 are written byte by byte; in JSON each such byte 0xNN is the escape
    \\udcNN, from which `os.fsencode` makes the name again.
    """
    faces = sorted(outcome.faces, key=lambda face: face.order)
    if format == "json":
        path = folder.path / "landmarks.json"
        write_json_atomic(path, _json(faces, scheme, outcome))
        folder.files.append(path)
    elif format == "csv":
        _write_csv(folder, faces, scheme.num_landmarks)
    else:
        for face in faces:
            path = folder.pts(face.source, face.frame, face.face)
            write_text_atomic(path, _pts(face.points + _FROM_CORNERS))
            folder.files.append(path)


def _json(faces: list[FoundFace], scheme: Scheme, outcome: Outcome) -> dict[str, Any]:
    return about_landmarks(scheme) | {
        "boxes_from": outcome.box_source,
        "faces": [
            {
                "image": face.source.name,
                "file": str(face.source.path),
                "frame": face.frame,
                **face_record(face.box, face.points, face.confidence, face.expected_error),
            }
            for face in faces
        ],
        "failed": outcome.failed,
    }


def about_landmarks(scheme: Scheme) -> dict[str, Any]:
    """What the numbers of `face_record` are."""
    return {
        "scheme": scheme.name,
        "landmarks": list(scheme.points),
        "coordinates": "pixels of the original image, its upper left corner is (0, 0)",
        "confidence": f"probability that the error is at most {THRESHOLD:g} % of the normaliser",
        "expected_error": "percent of the normaliser",
    }


def face_record(
    box: np.ndarray, points: np.ndarray, confidence: np.ndarray, expected_error: np.ndarray
) -> dict[str, Any]:
    """One face as JSON has it: box [4], points [K, 2], confidence and expected error [K]."""
    return {
        "box": box.tolist(),
        "points": np.round(points, 4).tolist(),
        "confidence": _known(confidence),
        "expected_error": _known(expected_error),
    }


def _known(values: np.ndarray) -> list[float] | None:
    """None stands for figures that an uncalibrated model does not have."""
    return None if any(map(math.isnan, values)) else np.round(values, 4).tolist()


def _write_csv(folder: OutputFolder, faces: list[FoundFace], landmarks: int) -> None:
    points = [["image", *(f"{axis}{k}" for k in range(landmarks) for axis in "xy")]]
    about = [["image", "face", "x_min", "y_min", "x_max", "y_max"]]
    about[0] += [f"c{k}" for k in range(landmarks)]
    for face in faces:
        points.append(
            [_not_a_formula(face.label), *(f"{value:.4f}" for value in face.points.ravel())]
        )
        about.append(
            [_not_a_formula(face.label), str(face.face), *(f"{value:.4f}" for value in face.box)]
        )
        about[-1] += [f"{value:.4f}" for value in face.confidence]
    for table, rows in (("landmarks.csv", points), ("confidence.csv", about)):
        content = "".join(map(_csv_line, rows)).encode("utf-8", "surrogateescape")
        write_bytes_atomic(folder.path / table, content)
        folder.files.append(folder.path / table)


def _not_a_formula(name: str) -> str:
    """A name as a path that no spreadsheet evaluates: "./=1+1.jpg" is the same file."""
    return f"./{name}" if name.startswith(_FORMULA) else name


def _csv_line(cells: list[str]) -> str:
    """A row that ends in a newline; told that rows end in "\\r\\n", `csv` quotes both in names."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _pts(points: np.ndarray) -> str:
    lines = "".join(f"{x:.4f} {y:.4f}\n" for x, y in points)
    return f"version: 1\nn_points: {len(points)}\n{{\n{lines}}}\n"
