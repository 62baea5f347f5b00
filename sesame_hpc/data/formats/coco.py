"""COCO keypoint JSON, as mmpose, CVAT, Roboflow and Label Studio write it.

The file of a split is `annotations/<split>.json`, `<split>.json`, or the one COCO keypoint file
whose name or folder names that split (`annotations/person_keypoints_default.json`,
`train/_annotations.coco.json`, `result.json`; train where neither does). Each annotation has
`image_id`, `keypoints` [x, y, v] * K (v: 0 not labelled, 1 occluded, 2 visible), and optionally
`bbox` [x, y, width, height] (without it the tight box of the labelled points) and `attributes`.
Images lie wherever most of their names exist: `images`, `<split>`, `images/<split>`, beside the
file or in the data set's folder.

Coordinates in the file are 0-based pixel centres: the centre of the first pixel is (0, 0), which
is (0.5, 0.5) in corner-based pixels. Boxes are in the same coordinates.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.coco_files import coco_path, image_folders, require_coco_path
from sesame_hpc.data.formats.coco_layout import Layout, id_of, load_layout
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.flags import attributes_of, settle_flags
from sesame_hpc.data.formats.format import AnnotationFormat, Split, Writer
from sesame_hpc.data.formats.numbers import FARTHEST, shifted
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, left_out, parse_result
from sesame_hpc.data.image_header import upright_size
from sesame_hpc.data.image_names import most_names_in
from sesame_hpc.schemes import Scheme

__all__ = ["FORMAT", "TO_CORNERS", "parse_coco"]

TO_CORNERS = 0.5
_VISIBILITIES = (0, 1, 2)


def parse_coco(root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """The faces of a split, one for each annotation that has keypoints of the scheme.

    Raises:
        FileNotFoundError: no file of the split.
        ValueError: several files could be the split's.
    """
    path = require_coco_path(root, split)
    what = f"faces of {path}"
    try:
        layout = load_layout(path, scheme)
    except Fault as fault:
        return parse_result(what, scheme, root, [], [fault])
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    attributes: list[Mapping[str, Any]] = []
    findings: list[Finding] = list(layout.findings)
    for number, entry in enumerate(layout.annotations):
        place = f"{path}:annotations[{number}]"
        try:
            if (why := _no_face(entry, layout, place)) is not None:
                findings.append(left_out(place, why))
                continue
            own = attributes_of(entry.get("attributes"), place)
            faces.append(_parse_face(entry, layout, scheme, place))
            attributes.append(own)
        except Fault as fault:
            faults.append(fault)
    folder = most_names_in(image_folders(root, path, split), layout.images.values())
    faces, names, more_faults, more_findings = settle_flags(faces, attributes)
    return parse_result(
        what,
        scheme,
        folder,
        faces,
        [*faults, *more_faults],
        names,
        findings=[*findings, *more_findings],
        shift=TO_CORNERS,
        missing=missing,
    )


def _no_face(entry: Any, layout: Layout, place: str) -> str | None:
    """Why an annotation is not a face of the scheme; None if it is one."""
    if not isinstance(entry, dict):
        raise Fault("layout", place, "is not an object with `image_id` and `keypoints`")
    if entry.get("iscrowd") in (1, "1"):
        return "marks a crowd"
    if entry.get("keypoints") in (None, []):
        return "has no keypoints"
    layout.check_category(entry, place)
    category = layout.category(entry)
    if category is not None and category.problem:
        return f"is of category {category.name!r}, which {category.problem}"
    return None


def _parse_face(entry: Mapping[str, Any], layout: Layout, scheme: Scheme, place: str) -> ParsedFace:
    key = id_of(entry.get("image_id"))
    if key is None or key not in layout.images:
        whose = layout.broken.get(key or "", "no image")
        raise Fault(
            "image", place, f"image_id is {entry.get('image_id')!r}, which is the id of {whose}"
        )
    numbers = _parse_keypoints(entry["keypoints"], scheme, place)
    points = np.array(numbers).reshape(-1, 3)
    if bad := [value for value in points[:, 2].tolist() if value not in _VISIBILITIES]:
        problem = f"v is {bad[0]:g}; it is 0 (not labelled), 1 (occluded) or 2 (visible)"
        raise Fault("number", place, problem)
    category = layout.category(entry)
    if category is not None and category.order is not None:
        points = points[list(category.order)]
    box = _parse_box(entry["bbox"], place) if entry.get("bbox") else None
    seen = points[:, 2].astype(int).tolist()
    coordinates = points[:, :2].ravel().tolist()
    size = layout.sizes.get(key)
    return ParsedFace(place, layout.images[key], coordinates, box, (), seen, size)


def _parse_keypoints(value: Any, scheme: Scheme, place: str) -> list[float]:
    expected = 3 * scheme.num_landmarks
    if not isinstance(value, list) or len(value) != expected:
        found = f"a list of {len(value)}" if isinstance(value, list) else "not a list"
        problem = f"`keypoints` is {found}; takes {expected} numbers: x, y, v of each point"
        raise Fault("fields", place, problem)
    numbers = [0 if _is_missing(value, position) else each for position, each in enumerate(value)]
    return _parse_numbers(numbers, "keypoints", place)


def _is_missing(values: list[Any], position: int) -> bool:
    """Whether the number at `position` is null or NaN, as the coordinate of a point of v = 0."""
    value = values[position]
    if position % 3 == 2 or values[position - position % 3 + 2] not in (0, False, None):
        return False
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parse_box(value: Any, place: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 4:
        raise Fault("fields", place, "`bbox` is not a list of four numbers: x, y, width, height")
    x, y, width, height = _parse_numbers(value, "bbox", place)
    return [x + TO_CORNERS, y + TO_CORNERS, x + width + TO_CORNERS, y + height + TO_CORNERS]


def _parse_numbers(values: list[Any], key: str, place: str) -> list[float]:
    for position, value in enumerate(values):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not -FARTHEST <= value <= FARTHEST:
            problem = (
                f"{key}[{position}] is {_shortened(value)}; it takes finite numbers of pixels, "
                f"at most {FARTHEST:g}"
            )
            raise Fault("number", place, problem)
    return [float(value) for value in values]


def _shortened(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "a number of very many digits"
    return text if len(text) <= 40 else text[:37] + "..."


def _has_split(root: Path, split: Split, scheme: Scheme | None) -> bool:
    try:
        return coco_path(root, split) is not None
    except ValueError:
        return True


def _files(
    table: Annotations, split: Split, images: Sequence[str], missing: Missing
) -> dict[str, str]:
    """A keypoint file."""
    names = [image.removeprefix("images/") for image in images]
    rows = {name: row for row, name in enumerate(names)}
    sizes = {name: upright_size(table.image_path(row)) for name, row in rows.items()}
    ids = {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}
    content = {
        "images": [
            {"id": number, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]}
            for name, number in ids.items()
        ],
        "annotations": [_annotation(table, row, ids[name]) for row, name in enumerate(names)],
        "categories": [_category(table.scheme)],
    }
    return {f"annotations/{split}.json": json.dumps(content) + "\n"}


def _annotation(table: Annotations, row: int, image_id: int) -> dict[str, Any]:
    labelled = table.seen[row] > 0
    points = np.where(labelled[:, None], shifted(table.landmarks[row], -TO_CORNERS), 0)
    low = shifted(table.boxes[row, :2], -TO_CORNERS)
    extent = shifted(table.boxes[row, 2:] - table.boxes[row, :2], 0)
    seen = table.seen[row][:, None].astype(np.float64)
    flags = zip(table.attribute_names, table.attributes[row].tolist(), strict=True)
    annotation = {
        "id": row + 1,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int(labelled.sum()),
        "keypoints": np.concatenate([points, seen], axis=1).ravel().tolist(),
        "bbox": [*low.tolist(), *extent.tolist()],
        "area": float(extent.prod()),
    }
    attributes = {name: int(flag) for name, flag in flags}
    return {**annotation, "attributes": attributes} if attributes else annotation


def _category(scheme: Scheme) -> dict[str, Any]:
    skeleton = [[first + 1, second + 1] for first, second in scheme.edges]
    return {"id": 1, "name": "face", "keypoints": list(scheme.points), "skeleton": skeleton}


FORMAT = AnnotationFormat(
    "coco", parse_coco, _has_split, "a COCO keypoint file (.json)", writer=Writer(_files)
)
