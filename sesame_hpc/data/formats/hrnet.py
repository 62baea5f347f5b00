"""HRNet's and STAR's tables: an image, scale and centre of a face, and its landmarks, per row.

HRNet's are CSV with the columns image_name, scale, center_w, center_h and then x, y of each point
(`face_landmarks_wflw_train.csv`). STAR's are TSV without names of columns: the image, five points,
K points as one list, scale, center_w, center_h (`train.tsv`). The file of a split is the one whose
name or folder names it. Images lie wherever most of their names exist, as for COCO files.

A face's box is the square of 200 `scale` pixels around its centre. Both cells of a point are empty
where it is not labelled (or nan, NA, #N/A, null, none, -). Numbers are taken as they are,
as those of WFLW's own lists, which these tables repeat.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from sesame_hpc.data.delimited import encoding_of
from sesame_hpc.data.formats.cells import coordinates_of, numbers_of
from sesame_hpc.data.formats.coco_files import image_folders
from sesame_hpc.data.formats.faults import Fault, read_text
from sesame_hpc.data.formats.format import AnnotationFormat, Split
from sesame_hpc.data.formats.numbers import finite_numbers
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, parse_result
from sesame_hpc.data.formats.split_files import require_split_file, split_file
from sesame_hpc.data.formats.text_tables import TextTable, read_text_table
from sesame_hpc.data.image_names import most_names_in
from sesame_hpc.plural import counted
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "parse_hrnet"]

_PIXELS_OF_SCALE = 200.0
_PLACING = ("scale", "center_w", "center_h")
_SUFFIXES = (".csv", ".tsv")
_START = 1 << 16


def parse_hrnet(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split and the faults of its table.

    Raises:
        FileNotFoundError: no file of the split.
        ValueError: several files could be the split's.
    """
    what = "tables with scale and center_w, center_h (*.csv, *.tsv)"
    path = require_split_file(root, split, _SUFFIXES, _is_table, what)
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    try:
        if path.suffix.lower() == ".tsv":
            _parse_star(path, scheme, faces, faults)
        else:
            _parse_table(read_text_table(path), scheme, faces, faults)
    except Fault as fault:
        faults.append(fault)
    folder = most_names_in(image_folders(root, path, split), [face.image for face in faces])
    return parse_result(f"faces of {path}", scheme, folder, faces, faults, missing=missing)


def _parse_table(
    table: TextTable, scheme: Scheme, faces: list[ParsedFace], faults: list[Fault]
) -> None:
    coordinates = 2 * scheme.num_landmarks
    if absent := [name for name in _PLACING if name not in table.names]:
        problem = f"names no column {', '.join(absent)}"
        raise Fault("fields", table.place, problem)
    last = max(table.names.index(name) for name in _PLACING)
    if len(table.names) - last - 1 != coordinates:
        problem = (
            f"{len(table.names) - last - 1} columns after {table.names[last]}; scheme "
            f"{scheme.name} takes {coordinates}: x and y of each point"
        )
        raise Fault("fields", table.place, problem)
    places = [table.names.index(name) for name in _PLACING]
    for place, row in table.rows:
        if len(row) != len(table.names):
            problem = f"has {counted(len(row), 'field')}; the first line names {len(table.names)}"
            faults.append(Fault("fields", place, problem))
            continue
        placing, points = [row[position] for position in places], row[last + 1 :]
        _add_face(place, row[0], placing, points, table.spelled[last + 1 :], faces, faults)


def _parse_star(path: Path, scheme: Scheme, faces: list[ParsedFace], faults: list[Fault]) -> None:
    coordinates = 2 * scheme.num_landmarks
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = [field.strip().strip('"') for field in line.split("\t")]
        if not any(fields):
            continue
        lists = [field.split(",") for field in fields]
        points = next((each for each in reversed(lists) if len(each) == coordinates), None)
        singles = [field for field in fields[1:] if finite_numbers([field]) is not None]
        if points is None or len(singles) < len(_PLACING):
            problem = (
                f"has no list of {coordinates} numbers (scheme {scheme.name}) with scale, "
                "center_w, center_h after it"
            )
            faults.append(Fault("fields", f"{path}:{number}", problem))
            continue
        names = [f"{axis}{point}" for point in range(scheme.num_landmarks) for axis in "xy"]
        _add_face(f"{path}:{number}", fields[0], singles[:3], points, names, faces, faults)


def _add_face(
    place: str,
    image: str,
    placing: Sequence[str],
    points: Sequence[str],
    names: Sequence[str],
    faces: list[ParsedFace],
    faults: list[Fault],
) -> None:
    """`placing` are scale, center_w and center_h, `points` 2K coordinates in columns `names`."""
    try:
        scale, x, y = numbers_of(placing, _PLACING, place)
        coordinates = coordinates_of(points, names, place)
        if not image:
            raise Fault("image", place, "names no image")
        if scale <= 0:
            problem = f"scale is {scale:g}; it is the side of the face's box in units of 200 px"
            raise Fault("box", place, problem)
    except Fault as fault:
        faults.append(fault)
        return
    half = scale * _PIXELS_OF_SCALE / 2
    faces.append(ParsedFace(place, image, coordinates, [x - half, y - half, x + half, y + half]))


def _is_table(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            content = file.read(_START)
    except OSError:
        return False
    text = content.decode(encoding_of(content), "replace")
    first = text.lstrip("\ufeff\r\n").partition("\n")[0]
    if path.suffix.lower() == ".csv":
        names = {name.strip(' "\r').casefold() for name in re.split(r"[,;\t|]", first)}
        return names.issuperset(_PLACING)
    return sum("," in field for field in first.split("\t")) >= 2


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    try:
        return split_file(root, split, _SUFFIXES, _is_table) is not None
    except ValueError:
        return True


FORMAT = AnnotationFormat(
    "hrnet", parse_hrnet, _has_split, "a CSV or TSV table of HRNet or STAR, with scale and centre"
)
