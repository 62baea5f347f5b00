"""CSV tables of a user's own faces: `train.csv` and `test.csv` in the data set's folder.

Without a file of that name, the only table of points (.csv, .tsv, .txt) whose name or folder
indicates the split is read, as in COCO's format.

    image,x_min,y_min,x_max,y_max,x0,y0,x1,y1,...,attribute_blur
    photos/one.jpg,10,12,90,101,31.5,40.25,62.0,40.5,...,0

The first line names the columns, in any order and case: `image`, a path relative to the table's
folder; x0, y0 to x<K-1>, y<K-1>, the landmarks; optionally the four of the box (without them a
face's box is the tight one of its labelled points), any number of attribute_<name>, 0 or 1, and
v0 to v<K-1> (1 occluded, 2 visible). Both cells of a point are empty where it is not labelled
(or nan, NA, #N/A, null, none, -). Semicolons, tabs and bars separate as well as commas, then with
decimal commas; an index column (pandas) and empty columns at the end are ignored.

Coordinates are corner-based pixels: the first pixel spans 0 to 1 and its centre is (0.5, 0.5).
Add 0.5 to numbers that count pixel centres from 0 (OpenCV, most annotation tools).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.box_table import BOX
from sesame_hpc.data.formats.cells import NO_DECIMAL_COMMA, coordinates_of, numbers_of
from sesame_hpc.data.formats.faults import Fault, folder_entries
from sesame_hpc.data.formats.format import AnnotationFormat, Split, Writer
from sesame_hpc.data.formats.numbers import spelled
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, parse_result
from sesame_hpc.data.formats.split_files import split_file
from sesame_hpc.data.formats.text_tables import TextTable, read_text_table
from sesame_hpc.data.image_names import most_names_in
from sesame_hpc.plural import counted
from sesame_hpc.schemes import Scheme

__all__ = ["ATTRIBUTE", "BOX", "FORMAT", "csv_path", "parse_csv", "point_columns"]


ATTRIBUTE = "attribute_"
_IMAGE_NAMES = ("filename", "file_name", "file", "path", "image_path", "image_name", "img")
_FIRST_BYTES = 65536
_SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class _Columns:
    """Where each thing stands in a row: positions of columns."""

    names: tuple[str, ...]
    image: int
    points: tuple[int, ...]
    box: tuple[int, ...]
    seen: tuple[int, ...]
    attributes: tuple[int, ...]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return tuple(self.names[position][len(ATTRIBUTE) :] for position in self.attributes)


def csv_path(root: Path, split: str) -> Path | None:
    """The table of a split: `<split>.csv`, else the one table whose name or folder tells it.

    Raises:
        ValueError: several tables could be the split's.
    """
    exact = root / f"{split}.csv"
    return exact if exact.is_file() else split_file(root, split, _SUFFIXES, _is_table)


def _is_table(path: Path) -> bool:
    """Whether the first line names the first point."""
    try:
        with path.open("rb") as file:
            if b"X0" not in file.read(_FIRST_BYTES).replace(b"\0", b"").upper():
                return False
        return {"x0", "y0"} <= set(read_text_table(path).names)
    except (OSError, Fault):
        return False


def point_columns(landmarks: int) -> tuple[str, ...]:
    """x0, y0, ..., x<K-1>, y<K-1>."""
    return tuple(f"{axis}{point}" for point in range(landmarks) for axis in "xy")


def parse_csv(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of `root/<split>.csv` and the faults of the table.

    Raises:
        FileNotFoundError: no such table.
    """
    path = csv_path(root, split)
    if path is None:
        raise FileNotFoundError(
            f"no {split} split: looked for {root / f'{split}.csv'}; {folder_entries(root)}"
        )
    what, faults = f"faces of {path}", list[Fault]()
    try:
        table = read_text_table(path)
        columns = _parse_header(table, scheme)
    except Fault as fault:
        return parse_result(what, scheme, path.parent, (), [fault], missing=missing)
    faces: Iterable[ParsedFace] = _parse_rows(table, columns, faults)
    folder = path.parent
    if folder != root:
        faces = list(faces)
        folder = most_names_in([folder, root], [face.image for face in faces])
    names = columns.attribute_names
    return parse_result(what, scheme, folder, faces, faults, names, missing=missing)


def _parse_rows(table: TextTable, columns: _Columns, faults: list[Fault]) -> Iterator[ParsedFace]:
    """The faces of a table; what cannot be read is added to `faults`."""
    try:
        for place, row in table.rows:
            try:
                yield _parse_row(row, columns, place)
            except Fault as fault:
                faults.append(fault)
    except Fault as fault:
        faults.append(fault)


def _parse_header(table: TextTable, scheme: Scheme) -> _Columns:
    points = point_columns(scheme.num_landmarks)
    form = f"image, {points[0]}, {points[1]} to {points[-2]}, {points[-1]}"
    header, place = _with_image(table.names), table.place
    where = {name: position for position, name in enumerate(header)}
    if len(where) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise Fault("layout", place, f"column {twice!r} is given twice")
    if lacking := [name for name in ("image", *points) if name not in where]:
        listed = ", ".join(lacking[:6]) + ", ..." * (len(lacking) > 6)
        problem = (
            f"the first line names the columns, and lacks {listed}; "
            f"scheme {scheme.name} takes {form}"
        )
        problem += f"; it begins with {', '.join(table.spelled[:2])!r:.80}" if header else ""
        raise Fault("layout", place, problem)
    seen = tuple(f"v{point}" for point in range(scheme.num_landmarks))
    valid = {"image", *points, *BOX, *seen}
    if unknown := [n for n in header if n not in valid and not n.startswith(ATTRIBUTE)]:
        problem = (
            f"unknown column {unknown[0]!r}; scheme {scheme.name} takes {form}, "
            f"{', '.join(BOX)}, {ATTRIBUTE}<name>"
        )
        raise Fault("layout", place, problem)
    groups = {"a box": BOX, "visibility": seen}
    for what, names in groups.items():
        if 0 < (count := sum(name in where for name in names)) < len(names):
            problem = f"{count} columns of {what}; takes all of {names[0]} to {names[-1]}"
            raise Fault("layout", place, problem)
    return _Columns(
        names=table.spelled,
        image=where["image"],
        points=tuple(where[name] for name in points),
        box=tuple(where[name] for name in BOX if name in where),
        seen=tuple(where[name] for name in seen if name in where),
        attributes=tuple(where[name] for name in header if name.startswith(ATTRIBUTE)),
    )


def _with_image(names: tuple[str, ...]) -> tuple[str, ...]:
    """Column names with `image` where the file calls that column, and no other, otherwise."""
    others = [name for name in names if name in _IMAGE_NAMES]
    if "image" in names or len(others) != 1:
        return names
    return tuple("image" if name == others[0] else name for name in names)


def _parse_row(row: list[str], columns: _Columns, place: str) -> ParsedFace:
    if len(row) != len(columns.names):
        problem = f"has {counted(len(row), 'field')}; the first line names {len(columns.names)}"
        if len(row) == 2 * len(columns.names) - 1:
            problem += f"; {NO_DECIMAL_COMMA}"
        raise Fault("fields", place, problem)
    names = columns.names
    coordinates = coordinates_of(
        _cells_at(row, columns.points), _cells_at(names, columns.points), place
    )
    box = None
    if columns.box and any(row[position] for position in columns.box):
        box = numbers_of(_cells_at(row, columns.box), _cells_at(names, columns.box), place)
    if not row[columns.image]:
        raise Fault("image", place, "names no image")
    for position in columns.attributes:
        if row[position] not in ("0", "1"):
            name, field = columns.names[position], row[position]
            raise Fault("attribute", place, f"{name} is {field!r}; it is 0 or 1")
    attributes = [row[position] == "1" for position in columns.attributes]
    for position in columns.seen:
        if row[position] not in ("", "0", "1", "2"):
            name, field = columns.names[position], row[position]
            raise Fault("number", place, f"{name} is {field!r}; it is 0, 1 or 2")
    seen = [int(row[position] or 0) for position in columns.seen] or None
    return ParsedFace(place, row[columns.image], coordinates, box, attributes, seen)


def _cells_at(row: Sequence[str], positions: tuple[int, ...]) -> list[str]:
    return [row[position] for position in positions]


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    try:
        return csv_path(root, split) is not None
    except ValueError:
        return True


def _files(
    table: Annotations, split: Split, images: Sequence[str], missing: Missing
) -> dict[str, str]:
    """A table with all columns; those of visibility where some point is occluded."""
    occluded = bool((table.seen == 1).any())
    points = range(table.scheme.num_landmarks)
    seen_names = [f"v{point}" for point in points] if occluded else []
    attributes = [ATTRIBUTE + name for name in table.attribute_names]
    header = ["image", *BOX, *point_columns(len(points)), *seen_names, *attributes]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row, image in enumerate(images):
        numbers = [*spelled(table.boxes[row]), *_cells(table, row)]
        seen = [str(value) for value in table.seen[row]] if occluded else []
        flags = [str(int(flag)) for flag in table.attributes[row]]
        writer.writerow([image, *numbers, *seen, *flags])
    return {f"{split}.csv": text.getvalue()}


def _cells(table: Annotations, row: int) -> list[str]:
    return ["" if cell == "nan" else cell for cell in spelled(table.landmarks[row])]


FORMAT = AnnotationFormat(
    "csv", parse_csv, _has_split, "a CSV table with image, x0, y0, ...", writer=Writer(_files)
)
