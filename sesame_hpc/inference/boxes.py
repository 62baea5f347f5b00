"""Boxes of faces from a file, CSV or JSON."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.data.delimited import clipped, decode_text, read_delimited, shortened
from sesame_hpc.data.image_names import resolve_names
from sesame_hpc.inference.inputs import Input
from sesame_hpc.plural import counted

__all__ = ["BoxTable", "MatchedBoxes", "read_boxes"]

_SIDES = ("x_min", "y_min", "x_max", "y_max")
_NAMES = "image, x_min, y_min, x_max, y_max, and frame where they differ in a video"
_FORM = f"the columns {_NAMES}"
_MOST_DIGITS = 400
_OBJECTS = f"a list of objects with the keys {_NAMES}"

Row = tuple[str, int | None, list[float]]


class BoxTable:
    """The boxes of a file, and what is wrong with those of its rows that cannot be used.

    Rows are (image, frame or None, x_min, y_min, x_max, y_max), pixels with corners at integers;
    `places` are "file:line" or "file[number]" of each.
    """

    def __init__(
        self, path: Path, rows: list[Row], places: list[str], problems: list[str] | None = None
    ) -> None:
        self.path = path
        self.rows = rows
        self.places = places
        self.problems = problems or []

    def match(self, inputs: list[Input]) -> "MatchedBoxes":
        """Which rows are for which of the `inputs`.

        A row's image is found by its name below the given folder, else by its path or the end of
        it, else by a spelling that means the same (see `resolve_names`).
        """
        names = list(dict.fromkeys(image for image, _, _ in self.rows))
        target = {source.name: source.name for source in inputs}
        paths = {source.path.as_posix(): source.name for source in inputs}
        found = {name: name for name in names if name in target}
        by_path = resolve_names([name for name in names if name not in found], list(paths))
        found |= {name: paths[path] for name, path in by_path.found.items()}
        by_name = resolve_names([name for name in names if name not in found], list(target))
        found |= by_name.found
        unused = {
            name: by_path.missing.get(name) or by_name.missing.get(name, "")
            for name in names
            if name not in found
        }
        bare = [name for name in target if name not in found.values()]
        return MatchedBoxes(self, found, unused, resolve_names(bare, names).missing)


class MatchedBoxes:
    """The boxes of each input, and of each frame of a video (`frame` from 0).

    `unused` are the table's images that are none of the inputs, with what is known of each;
    `repeats` the numbers of rows that were left out because they give the same box again.
    """

    def __init__(
        self,
        table: BoxTable,
        found: dict[str, str],
        unused: dict[str, str],
        hints: dict[str, str],
    ) -> None:
        self.table = table
        self.unused = unused
        self.repeats: set[int] = set()
        self._hints = hints
        self._of_input: dict[str, list[int]] = {}
        for number, (image, _, _) in enumerate(table.rows):
            if image in found:
                self._of_input.setdefault(found[image], []).append(number)

    def has(self, source: Input) -> bool:
        """Whether some row names the file."""
        return source.name in self._of_input

    def of(self, source: Input, frame: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Boxes float64 [F, 4], and the place of each in the file, int64 [F].

        An image, whose `frame` is None, is its frame 0. A box that is given several times is one
        face. Raises ValueError where no row names the file.
        """
        if not self.has(source):
            hint = self._hints.get(source.name)
            near = f"; {clipped(hint)}" if hint else ""
            raise ValueError(f"{source.path}: {self.table.path} has no box for {source.name}{near}")
        rows = self.table.rows
        chosen: dict[tuple[float, ...], int] = {}
        for n in self._of_input[source.name]:
            _, only_frame, box = rows[n]
            if only_frame in (None, frame or 0) and chosen.setdefault(tuple(box), n) != n:
                self.repeats.add(n)
        boxes = np.array(list(chosen), dtype=np.float64)
        return boxes.reshape(-1, 4), np.array(list(chosen.values()), dtype=np.int64)

    def past_the_end(self, source: Input, frames: int) -> list[str]:
        """What is wrong with rows that are for a frame that a file of so many does not have."""
        rows, places = self.table.rows, self.table.places
        return [
            f"{places[n]}: frame {rows[n][1]} of {source.path}, which has "
            f"{counted(frames, 'frame')}, from 0"
            for n in self._of_input.get(source.name, [])
            if (rows[n][1] or 0) >= frames
        ]


def read_boxes(path: Path) -> BoxTable:
    """CSV with a header, or JSON: a list of objects with the same keys.

    Rows that cannot be used are named in `BoxTable.problems`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is neither, lacks columns, or has no row that can be used.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--boxes: {path} is not a file")
    rows, places, problems = [], [], []
    records = _json_records if path.suffix.lower() == ".json" else _csv_records
    for place, record, problem in records(path):
        try:
            if problem:
                raise ValueError(problem)
            rows.append(_row(record))
            places.append(place)
        except ValueError as error:
            problems.append(f"{place}: {error}")
    if problems and not rows:
        raise ValueError(f"{path} holds no box that can be used:\n  " + "\n  ".join(problems[:10]))
    return BoxTable(path, rows, places, problems)


def _csv_records(path: Path) -> Iterator[tuple[str, Any, str]]:
    for row in read_delimited(path, ("image", *_SIDES), _FORM):
        yield row.place, row.cells, row.problem


def _json_records(path: Path) -> Iterator[tuple[str, Any, str]]:
    text = decode_text(path.read_bytes(), path)
    try:
        records = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply; takes {_OBJECTS}") from None
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON ({error})") from None
    if not isinstance(records, list):
        raise ValueError(f"{path}: takes {_OBJECTS}")
    for number, record in enumerate(records):
        yield f"{path}[{number}]", record, ""


def _whole(digits: str) -> int | float:
    """Python refuses to read integers of some thousand digits: such a number is infinite."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _row(record: Any) -> Row:
    if not isinstance(record, dict):
        raise ValueError(f"{shortened(record)} is not an object; takes {_OBJECTS}")
    image = record.get("image")
    if not isinstance(image, str) or not image.strip():
        raise ValueError(f"{shortened(record)} names no image; takes {_NAMES}")
    box = [_side(record, side) for side in _SIDES]
    frame = _frame(record.get("frame"))
    x_min, y_min, x_max, y_max = box
    if not all(map(math.isfinite, box)) or x_max <= x_min or y_max <= y_min:
        raise ValueError(f"box {box} is not finite with x_min < x_max and y_min < y_max")
    return image, frame, box


def _side(record: dict[str, Any], side: str) -> float:
    if side not in record:
        raise ValueError(f"{shortened(record)} has no {side}; takes {_NAMES}")
    try:
        if not isinstance(record[side], bool):
            return float(record[side])
        raise TypeError
    except (TypeError, ValueError, OverflowError):
        said = shortened(record[side])
        raise ValueError(f"{side} is {said}; takes a number of pixels") from None


def _frame(value: Any) -> int | None:
    """3, "3" and 3.0 are the frame 3; nothing and blanks are every frame."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = int(value) if isinstance(value, int) else int(float(value))
        if number >= 0 and number == float(value) and not isinstance(value, bool):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"frame is {shortened(value)}; takes a whole number from 0, or none")
