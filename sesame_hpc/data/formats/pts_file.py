"""One `.pts` file: its lines, read and written.

version: 1
n_points: 68
{
92.168 107.808
...
}
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sesame_hpc.data.formats.faults import Fault, read_lines
from sesame_hpc.data.formats.numbers import finite_numbers, shifted, spelled
from sesame_hpc.data.formats.parsed import Missing

__all__ = ["TO_CORNERS", "parse_pts", "points_as_written", "pts_text"]

TO_CORNERS = -0.5
_HEADERS = ("version", "n_points")


def parse_pts(path: Path, landmarks: int) -> np.ndarray:
    """The landmarks of a `.pts` file: float64 [landmarks, 2], corner-based pixels.

    Raises:
        Fault: the file departs from the format; the message names file and line.
    """
    return points_as_written(path, landmarks) + TO_CORNERS


def points_as_written(path: Path, landmarks: int) -> np.ndarray:
    """The points of a `.pts` file as they stand: float64 [landmarks, 2], 1-based pixel centres.

    Raises:
        Fault: the file departs from the format; the message names file and line.
    """
    lines = [
        (number, line.strip()) for number, line in enumerate(read_lines(path), 1) if line.strip()
    ]
    if not lines:
        raise Fault("empty", f"{path}:1", "is empty; takes version, n_points, '{', points and '}'")
    numbered = iter(lines)
    last = lines[-1][0]
    _parse_headers(numbered, path, last, landmarks)
    points = _parse_body(numbered, path, last)
    if len(points) != landmarks:
        problem = f"{len(points)} points, but n_points is {landmarks}"
        raise Fault("fields", f"{path}:{last}", problem)
    return np.array(points, dtype=np.float64)


def pts_text(landmarks: np.ndarray, missing: Missing = None) -> str:
    """A `.pts` file of landmarks [K, 2] in corner-based pixels; NaN is written as `missing`."""
    rows = np.where(np.isnan(landmarks), missing or np.nan, shifted(landmarks, -TO_CORNERS))
    points = "".join(f"{x} {y}\n" for x, y in map(spelled, rows))
    return f"version: 1\nn_points: {len(landmarks)}\n{{\n{points}}}\n"


def _parse_headers(lines: Iterator[tuple[int, str]], path: Path, last: int, landmarks: int) -> None:
    """Reads up to the opening brace."""
    counted = False
    for number, line in lines:
        place = f"{path}:{number}"
        if line == "{":
            if not counted:
                raise Fault("layout", place, f"'{{' before 'n_points: {landmarks}'")
            return
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or name not in _HEADERS:
            problem = f"{line!r} where 'version: 1', 'n_points: {landmarks}' or '{{' belongs"
            raise Fault("layout", place, problem)
        if name == "n_points":
            counted = True
            if value != str(landmarks):
                problem = f"n_points is {value!r}; the scheme has {landmarks}"
                raise Fault("fields", place, problem)
    raise Fault("layout", f"{path}:{last}", "ends without the '{' before the points")


def _parse_body(lines: Iterator[tuple[int, str]], path: Path, last: int) -> list[list[float]]:
    points: list[list[float]] = []
    for number, line in lines:
        if line == "}":
            if extra := next(lines, None):
                problem = f"{extra[1]!r} after the closing '}}'"
                raise Fault("layout", f"{path}:{extra[0]}", problem)
            return points
        points.append(_parse_point(line, f"{path}:{number}"))
    raise Fault("layout", f"{path}:{last}", "ends without the '}' after the points")


def _parse_point(line: str, place: str) -> list[float]:
    point = finite_numbers(line.split())
    if point is None or len(point) != 2:
        problem = f"{line!r} is not a point; a point is two finite numbers: x y"
        raise Fault("number", place, problem)
    return point
