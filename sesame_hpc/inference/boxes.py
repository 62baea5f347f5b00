"""Boxes of faces from a file, CSV or JSON."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.data.formats.faults import Fault, raise_faults
from sesame_hpc.inference.inputs import Input

__all__ = ["BoxTable", "read_boxes"]

_SIDES = ("x_min", "y_min", "x_max", "y_max")
_FORM = "columns image, x_min, y_min, x_max, y_max, and frame where they differ in a video"


class BoxTable:
    """The boxes of each image, and of each frame of a video (`frame` from 0).

    Rows are (image, frame or None, x_min, y_min, x_max, y_max), pixels with corners at integers.
    """

    def __init__(self, path: Path, rows: list[tuple[str, int | None, list[float]]]) -> None:
        self._path = path
        self._rows = rows
        self._of_image: dict[str, list[int]] = {}
        for number, (image, _, _) in enumerate(rows):
            self._of_image.setdefault(image, []).append(number)

    def of(self, source: Input, frame: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Boxes float64 [F, 4], and the place of each in the file, int64 [F].

        A file is found by its name below the given folder, else by the longest end of its path
        that some row names; at the least by its bare file name.
        Raises ValueError where no row names the file.
        """
        numbers = self._numbers(source)
        chosen = [n for n in numbers if self._rows[n][1] in (None, frame)]
        boxes = np.array([self._rows[n][2] for n in chosen], dtype=np.float64)
        return boxes.reshape(-1, 4), np.array(chosen, dtype=np.int64)

    def _numbers(self, source: Input) -> list[int]:
        parts = source.path.parts
        ends = ("/".join(parts[first:]) for first in range(len(parts)))
        for name in (source.name, source.path.as_posix(), *ends):
            if name in self._of_image:
                return self._of_image[name]
        raise ValueError(f"{source.path}: {self._path} has no box for {source.name}")


def read_boxes(path: Path) -> BoxTable:
    """CSV with a header, or JSON: a list of objects with the same keys.

    Raises FileNotFoundError for a missing file, ValueError naming the file and each bad row.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no boxes at {path}")
    text = path.read_text("utf-8-sig")
    records = _json_records(text, path) if path.suffix == ".json" else _csv_records(text, path)
    faults, rows = [], []
    for place, record in records:
        try:
            rows.append(_row(record))
        except ValueError as error:
            faults.append(Fault("box", place, str(error)))
    raise_faults(f"boxes of {path}", faults)
    return BoxTable(path, rows)


def _csv_records(text: str, path: Path) -> list[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    missing = {"image", *_SIDES} - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"{path}:1: lacks {', '.join(sorted(missing))}; takes {_FORM}")
    return [(f"{path}:{reader.line_num}", record) for record in reader]


def _json_records(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        records = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error})") from None
    if not isinstance(records, list):
        raise ValueError(f"{path}: takes a list of objects with the {_FORM}")
    return [(f"{path}[{number}]", record) for number, record in enumerate(records)]


def _row(record: Any) -> tuple[str, int | None, list[float]]:
    if not isinstance(record, dict) or not isinstance(record.get("image"), str):
        raise ValueError(f"{record!r} names no image; takes {_FORM}")
    try:
        box = [float(record[side]) for side in _SIDES]
        frame = None if record.get("frame") in (None, "") else int(record["frame"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{record!r} is no box; takes {_FORM}") from None
    x_min, y_min, x_max, y_max = box
    if not all(map(math.isfinite, box)) or x_max <= x_min or y_max <= y_min:
        raise ValueError(f"box {box} is not finite with x_min < x_max and y_min < y_max")
    return record["image"], frame, box
