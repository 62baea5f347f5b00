"""LabelMe's JSON files: one beside each image, with a labelled shape for each point.

A face is the points of one `group_id` (of the image, where there is none), labelled as the
scheme's points or by numbers from 0. Its box is the rectangle of its group, of several the one that
holds most of its points. A split is the folder of its name with all below it, or for train, without
such a folder, the data set's folder. `imagePath` is relative to its file.

Coordinates are corner-based pixels.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault, folder_entries, read_text
from sesame_hpc.data.formats.format import AnnotationFormat, Split
from sesame_hpc.data.formats.hidden_files import hidden_files_ignored
from sesame_hpc.data.formats.named_points import NamedPoint, gather_faces
from sesame_hpc.data.formats.numbers import FARTHEST
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, parse_result
from sesame_hpc.data.formats.shape_boxes import ShapeBox, boxes_of_faces
from sesame_hpc.data.image_files import files_below, is_hidden
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "parse_labelme"]

_MARKS = (b'"shapes"', b'"imagePath"')
_START = 1 << 20


def parse_labelme(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split, by file.

    Raises:
        FileNotFoundError: no such split.
    """
    folder = _folder(root, split)
    if folder is None:
        raise FileNotFoundError(
            f"no {split} split: looked for the folder {root / split}; {folder_entries(root)}"
        )
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    findings = hidden_files_ignored(folder, files_below(folder), ".json")
    for file in _files(folder):
        try:
            faces += _parse_file(folder, file, scheme, findings, faults)
        except Fault as fault:
            faults.append(fault)
    what = f"faces of {folder}"
    return parse_result(what, scheme, folder, faces, faults, findings=findings, missing=missing)


def _parse_file(
    folder: Path,
    file: PurePosixPath,
    scheme: Scheme,
    findings: list[Finding],
    faults: list[Fault],
) -> list[ParsedFace]:
    path = folder / file
    content = _load(path)
    name, shapes = content.get("imagePath"), content.get("shapes")
    if not isinstance(name, str) or not name or not isinstance(shapes, list):
        raise Fault("layout", path, "is not a LabelMe file: it has no imagePath or no shapes")
    points: list[NamedPoint] = []
    boxes: list[ShapeBox] = []
    for number, shape in enumerate(shapes):
        place = f"{path}:shapes[{number}]"
        try:
            kind, label, group, corners = _parse_shape(shape, place)
        except Fault as fault:
            faults.append(fault)
            continue
        if kind == "point" and len(corners) == 1:
            points.append(NamedPoint(place, label, corners[0], group))
        elif kind == "rectangle" and len(corners) == 2:
            (x0, y0), (x1, y1) = corners
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            boxes.append(ShapeBox(box, group))
    image = (file.parent / name.replace("\\", "/")).as_posix()
    faces = gather_faces(points, scheme, findings, faults)
    places = [f"{path}:{face.group or 1}" for face in faces]
    own_boxes = boxes_of_faces(
        [(place, face.group, face.coordinates) for place, face in zip(places, faces, strict=True)],
        boxes,
        findings,
    )
    size = _stated_size(content)
    return [
        ParsedFace(place, image, face.coordinates, box, (), face.visibility, size)
        for place, face, box in zip(places, faces, own_boxes, strict=True)
    ]


def _stated_size(content: dict[str, Any]) -> tuple[int, int] | None:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    if not isinstance(width, int) or not isinstance(height, int) or min(width, height) < 1:
        return None
    return width, height


def _parse_shape(shape: Any, place: str) -> tuple[str, str, str | None, list[tuple[float, float]]]:
    """Kind, label, group and corners of a shape."""
    if not isinstance(shape, dict) or not isinstance(shape.get("points"), list):
        raise Fault("layout", place, "a shape has a label and a list of points")
    corners = []
    for corner in shape["points"]:
        if not isinstance(corner, list) or len(corner) != 2 or not all(map(_is_pixel, corner)):
            problem = f"a point is two finite numbers of pixels, at most {FARTHEST:g}"
            raise Fault("number", place, problem)
        corners.append((float(corner[0]), float(corner[1])))
    group = shape.get("group_id")
    named = None if group is None else str(group)[:40]
    return str(shape.get("shape_type", "")), str(shape.get("label", "")), named, corners


def _is_pixel(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -FARTHEST <= value <= FARTHEST


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except Fault:
        raise
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise Fault("layout", f"{path}:{line}", "is not JSON") from error
    if not isinstance(content, dict):
        raise Fault("layout", path, "is not a LabelMe file: it holds no object")
    return content


def _folder(root: Path, split: str) -> Path | None:
    if (root / split).is_dir():
        return root / split
    return root if split == "train" and root.is_dir() else None


def _files(folder: Path) -> list[PurePosixPath]:
    return [
        file
        for file in files_below(folder)
        if file.suffix.lower() == ".json" and not is_hidden(file)
        if _is_labelme(folder / file)
    ]


def _is_labelme(path: Path) -> bool:
    """By its keys, which may come before or after the image that a file can hold."""
    try:
        with path.open("rb") as file:
            content = file.read(_START)
            size = path.stat().st_size
            if size > _START:
                file.seek(max(_START, size - _START))
                content += file.read()
    except OSError:
        return False
    return all(mark in content for mark in _MARKS)


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    folder = _folder(root, split)
    return folder is not None and bool(_files(folder))


FORMAT = AnnotationFormat("labelme", parse_labelme, _has_split, "LabelMe files (.json)")
