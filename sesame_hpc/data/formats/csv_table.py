"""CSV tables of a user's own faces: `train.csv` and `test.csv` in the data set's folder.

    image,x_min,y_min,x_max,y_max,x0,y0,x1,y1,...,attribute_blur
    photos/one.jpg,10,12,90,101,31.5,40.25,62.0,40.5,...,0

The first line names the columns: `image`, a path relative to the table's folder; x0, y0 to
x<K-1>, y<K-1>, the landmarks; optionally the four of the box (without them a face's box is the
tight one of its landmarks) and any number of attribute_<name>, 0 or 1. Their order is free.

Coordinates are corner-based pixels: the first pixel spans 0 to 1 and its centre is (0.5, 0.5).
Add 0.5 to numbers that count pixel centres from 0 (OpenCV, most annotation tools).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.data.formats.faults import Fault, folder_entries, read_text
from sesame_hpc.data.formats.rows import (
    FARTHEST,
    ImageFolder,
    Parsed,
    ParsedFace,
    check_box,
    check_normaliser,
    finite_numbers,
    first_bad_number,
    parse_result,
)
from sesame_hpc.schemes import Scheme

__all__ = ["ATTRIBUTE", "BOX", "csv_path", "parse_csv", "point_columns"]

BOX = ("x_min", "y_min", "x_max", "y_max")
ATTRIBUTE = "attribute_"


@dataclass(frozen=True)
class _Columns:
    """Where each thing stands in a row: positions of columns."""

    names: tuple[str, ...]
    image: int
    points: tuple[int, ...]
    box: tuple[int, ...]
    attributes: tuple[int, ...]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return tuple(self.names[position].removeprefix(ATTRIBUTE) for position in self.attributes)


def csv_path(root: Path, split: str) -> Path:
    """Where the table of a split lies."""
    return root / f"{split}.csv"


def point_columns(landmarks: int) -> tuple[str, ...]:
    """x0, y0, ..., x<K-1>, y<K-1>."""
    return tuple(f"{axis}{point}" for point in range(landmarks) for axis in "xy")


def parse_csv(root: Path, split: str, scheme: Scheme) -> Parsed:
    """The faces of `root/<split>.csv` and the faults of the table.

    Raises:
        FileNotFoundError: no such table.
    """
    path = csv_path(root, split)
    if not path.is_file():
        raise FileNotFoundError(
            f"no {split} split: looked for {path}; {folder_entries(path.parent)}"
        )
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    names: tuple[str, ...] = ()
    try:
        rows = _rows(path)
        place, header = next(rows, (f"{path}:1", []))
        columns = _parse_header(header, scheme, place)
        names = columns.attribute_names
        folder = ImageFolder(path.parent)
        for place, row in rows:
            try:
                face = _parse_row(row, columns, scheme, place)
                folder.require(face.image, place)
            except Fault as fault:
                faults.append(fault)
            else:
                faces.append(face)
    except Fault as fault:
        faults.append(fault)
    if not faces and not faults:
        faults.append(Fault("empty", path, "holds no face; each line after the first is one"))
    return parse_result(f"faces of {path}", scheme, path.parent, faces, faults, names)


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Place and fields of each row that holds text; the place is that of the row's last line."""
    reader = csv.reader(read_text(path).splitlines(keepends=True), strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise Fault("layout", f"{path}:{reader.line_num}", f"no CSV: {error}") from error
        if row is None:
            return
        if any(field.strip() for field in row):
            yield f"{path}:{reader.line_num}", [field.strip() for field in row]


def _parse_header(header: list[str], scheme: Scheme, place: str) -> _Columns:
    points = point_columns(scheme.num_landmarks)
    form = f"image, {points[0]}, {points[1]} to {points[-2]}, {points[-1]}"
    where = {name: position for position, name in enumerate(header)}
    if len(where) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise Fault("layout", place, f"column {twice!r} stands twice")
    if missing := [name for name in ("image", *points) if name not in where]:
        listed = ", ".join(missing[:6]) + ", ..." * (len(missing) > 6)
        problem = (
            f"the first line names the columns, and lacks {listed}; "
            f"scheme {scheme.name} takes {form}"
        )
        raise Fault("layout", place, problem)
    valid = {"image", *points, *BOX}
    if unknown := [n for n in header if n not in valid and not n.startswith(ATTRIBUTE)]:
        problem = (
            f"unknown column {unknown[0]!r}; takes {form}, {', '.join(BOX)}, {ATTRIBUTE}<name>"
        )
        raise Fault("layout", place, problem)
    box = tuple(where[name] for name in BOX if name in where)
    if len(box) not in (0, len(BOX)):
        raise Fault("layout", place, f"{len(box)} columns of a box; takes all of {', '.join(BOX)}")
    return _Columns(
        names=tuple(header),
        image=where["image"],
        points=tuple(where[name] for name in points),
        box=box,
        attributes=tuple(where[name] for name in header if name.startswith(ATTRIBUTE)),
    )


def _parse_row(row: list[str], columns: _Columns, scheme: Scheme, place: str) -> ParsedFace:
    if len(row) != len(columns.names):
        problem = f"has {len(row)} fields; the first line names {len(columns.names)}"
        raise Fault("fields", place, problem)
    coordinates = _numbers(row, columns.points, columns.names, place)
    check_normaliser(coordinates, scheme, place)
    box = _numbers(row, columns.box, columns.names, place) if columns.box else None
    if box is not None:
        check_box(box, place)
    if not row[columns.image]:
        raise Fault("image", place, "names no image")
    for position in columns.attributes:
        if row[position] not in ("0", "1"):
            name, field = columns.names[position], row[position]
            raise Fault("attribute", place, f"{name} is {field!r}; it is 0 or 1")
    attributes = [row[position] == "1" for position in columns.attributes]
    return ParsedFace(place, row[columns.image], coordinates, box, attributes)


def _numbers(
    row: list[str], positions: tuple[int, ...], names: tuple[str, ...], place: str
) -> list[float]:
    fields = [row[position] for position in positions]
    numbers = finite_numbers(fields)
    if numbers is None:
        bad = first_bad_number(fields)
        problem = (
            f"{names[positions[bad]]} is {fields[bad]!r}; coordinates are finite numbers of "
            f"pixels, at most {FARTHEST:g}"
        )
        raise Fault("number", place, problem)
    return numbers
