"""CVAT's XML "for images": `<annotations>` with an `<image>` for each image.

A face is a `<skeleton>` whose `<points>` are labelled as the scheme's points (or by numbers from
0), a `<points>` shape of K points in the scheme's order, or single points with such labels, one
face for each group. The file of a split is the one whose name or folder names it (train where
neither does). Points marked outside are not labelled, those marked occluded are occluded. A
face's box is the `<box>` of its group, or without groups the one that holds its points; of a
rotated one, the upright box around it. Images lie wherever most of their names exist, as for COCO
files.

Coordinates are corner-based pixels, as CVAT's canvas has them.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.coco_files import image_folders
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.flags import settle_flags
from sesame_hpc.data.formats.format import AnnotationFormat, Split
from sesame_hpc.data.formats.named_points import NamedFace, NamedPoint, gather_faces
from sesame_hpc.data.formats.numbers import finite_numbers
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, left_out, parse_result
from sesame_hpc.data.formats.shape_boxes import ShapeBox, boxes_of_faces
from sesame_hpc.data.formats.split_files import require_split_file, split_file
from sesame_hpc.data.formats.xml_file import Node, read_xml, root_tag
from sesame_hpc.data.image_names import most_names_in
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "parse_cvat"]

Attributes = Mapping[str, Any]
_SHAPES = ("skeleton", "points", "box")


def parse_cvat(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split by image.

    Raises:
        FileNotFoundError: no file of the split.
        ValueError: several files could be the split's.
    """
    path = require_split_file(root, split, (".xml",), _is_cvat, "CVAT files (*.xml)")
    found: list[tuple[ParsedFace, Attributes]] = []
    faults: list[Fault] = []
    findings: list[Finding] = []
    try:
        content = read_xml(path)
        if tracks := content.all("track"):
            problem = "holds tracks of a video; export the task as 'CVAT for images 1.1'"
            raise Fault("layout", f"{path}:{tracks[0].line}", problem)
        for image in content.all("image"):
            found += _parse_image(image, path, scheme, faults, findings)
    except Fault as fault:
        faults.append(fault)
    names = [face.image for face, _ in found]
    folder = most_names_in(image_folders(root, path, split), names)
    faces, attributes, more_faults, more_findings = settle_flags(
        [face for face, _ in found], [own for _, own in found]
    )
    return parse_result(
        f"faces of {path}",
        scheme,
        folder,
        faces,
        [*faults, *more_faults],
        attributes,
        findings=[*findings, *more_findings],
        missing=missing,
    )


def _parse_image(
    image: Node, path: Path, scheme: Scheme, faults: list[Fault], findings: list[Finding]
) -> list[tuple[ParsedFace, Attributes]]:
    name = image.attributes.get("name", "")
    if not name:
        faults.append(Fault("image", f"{path}:{image.line}", "names no image (name)"))
        return []
    sides = finite_numbers([image.attributes.get(side, "") for side in ("width", "height")])
    size = (int(sides[0]), int(sides[1])) if sides and min(sides) >= 1 else None
    found: list[tuple[NamedFace, Attributes]] = []
    singles: list[NamedPoint] = []
    boxes: list[ShapeBox] = []
    for shape in image.children:
        place, group = f"{path}:{shape.line}", _group(shape)
        try:
            if shape.tag == "box":
                boxes.append(ShapeBox(_parse_box(shape, place), group))
            elif shape.tag == "skeleton":
                parts = [_parse_point(part, path, group) for part in shape.all("points")]
                for face in gather_faces(parts, scheme, findings, faults):
                    found.append((replace(face, place=place), _attributes(shape)))
            elif shape.tag == "points":
                points = _numbers(shape, place)
                if len(points) == 2 and scheme.num_landmarks > 1:
                    singles.append(_parse_point(shape, path, group))
                elif len(points) == 2 * scheme.num_landmarks:
                    seen = [_visibility(shape)] * scheme.num_landmarks
                    found.append((NamedFace(place, group, points, seen), _attributes(shape)))
                else:
                    why = f"has {len(points) // 2} points; scheme {scheme.name} has "
                    findings.append(left_out(place, f"{why}{scheme.num_landmarks}"))
            elif shape.tag not in _SHAPES and shape.tag != "tag":
                findings.append(left_out(place, f"a shape of kind {shape.tag!r:.40}"))
        except Fault as fault:
            faults.append(fault)
    found += [(face, {}) for face in gather_faces(singles, scheme, findings, faults)]
    faces = [face for face, _ in found]
    own_boxes = boxes_of_faces(
        [(face.place, face.group, face.coordinates) for face in faces], boxes, findings
    )
    return [
        (ParsedFace(face.place, name, face.coordinates, box, (), face.visibility, size), own)
        for (face, own), box in zip(found, own_boxes, strict=True)
    ]


def _parse_point(shape: Node, path: Path, group: str | None) -> NamedPoint:
    place = f"{path}:{shape.line}"
    numbers = _numbers(shape, place)
    if len(numbers) != 2:
        raise Fault("number", place, "is not one point; a part of a skeleton has one x,y")
    label = shape.attributes.get("label", "")
    return NamedPoint(place, label, (numbers[0], numbers[1]), group, _visibility(shape))


def _visibility(shape: Node) -> int:
    if shape.attributes.get("outside", "0") != "0":
        return 0
    return 1 if shape.attributes.get("occluded", "0") != "0" else 2


def _numbers(shape: Node, place: str) -> list[float]:
    """The coordinates of "x1,y1;x2,y2"."""
    pairs = shape.attributes.get("points", "").split(";")
    fields = [field for pair in pairs for field in pair.split(",")]
    numbers = finite_numbers(fields)
    if numbers is None or any(pair.count(",") != 1 for pair in pairs):
        raise Fault("number", place, "`points` is not a list of finite numbers x,y;x,y")
    return numbers


def _parse_box(shape: Node, place: str) -> tuple[float, float, float, float]:
    """The corners; of a rotated box, those of the upright one around it."""
    names = ("xtl", "ytl", "xbr", "ybr")
    numbers = finite_numbers([shape.attributes.get(name, "") for name in names])
    angle = finite_numbers([shape.attributes.get("rotation", "") or "0"])
    if numbers is None or angle is None:
        problem = f"a box has finite numbers {', '.join(names)}, and rotation in degrees or none"
        raise Fault("number", place, problem)
    left, top, right, bottom = numbers
    if not angle[0]:
        return left, top, right, bottom
    turn = math.radians(angle[0])
    cosine, sine = abs(math.cos(turn)), abs(math.sin(turn))
    width, height = abs(right - left), abs(bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width, half_height = (
        (width * cosine + height * sine) / 2,
        (width * sine + height * cosine) / 2,
    )
    return x - half_width, y - half_height, x + half_width, y + half_height


def _attributes(shape: Node) -> Attributes:
    return {each.attributes.get("name", ""): each.text.strip() for each in shape.all("attribute")}


def _group(shape: Node) -> str | None:
    group = shape.attributes.get("group_id", "0")
    return None if group in ("0", "") else group


def _is_cvat(path: Path) -> bool:
    return root_tag(path) == "annotations"


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    try:
        return split_file(root, split, (".xml",), _is_cvat) is not None
    except ValueError:
        return True


FORMAT = AnnotationFormat("cvat", parse_cvat, _has_split, "a CVAT file (.xml)")
