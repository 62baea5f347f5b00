"""Annotation tables as the text of files: what each reader reads back.

Numbers are the shortest that give the same float64 again. In `.pts` and COCO files, which count
pixel centres, coordinates are shifted by half a pixel and rounded to 1e-9 px.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats import coco, pts
from sesame_hpc.data.formats.csv_table import ATTRIBUTE, BOX, point_columns
from sesame_hpc.data.formats.wflw import ATTRIBUTES
from sesame_hpc.data.formats.wflw_subsets import SUBSET_LISTS
from sesame_hpc.schemes import Scheme

__all__ = ["coco_text", "csv_text", "pts_text", "subset_texts", "wflw_text"]

_DECIMALS = 9


def wflw_text(table: Annotations, images: Sequence[str]) -> str:
    """A list with boxes and attributes; attributes that WFLW does not know are left out."""
    flags = _wflw_flags(table)
    lines = [
        [*_numbers(table.landmarks[row]), *_numbers(table.boxes[row]), *flags[row], image]
        for row, image in enumerate(images)
    ]
    return "".join(" ".join(line) + "\n" for line in lines)


def subset_texts(table: Annotations, images: Sequence[str]) -> dict[str, str]:
    """The six lists of subsets by name, from the attributes of the test faces."""
    flags = _wflw_flags(table)
    texts = {}
    for name in SUBSET_LISTS:
        rows = [row for row in range(len(table)) if flags[row][ATTRIBUTES.index(name)] == "1"]
        lines = [[*_numbers(table.landmarks[row]), images[row]] for row in rows]
        texts[name] = "".join(" ".join(line) + "\n" for line in lines)
    return texts


def pts_text(landmarks: np.ndarray) -> str:
    """A `.pts` file of landmarks [K, 2]."""
    shifted = _shifted(landmarks, -pts.TO_CORNERS)
    points = "".join(f"{x} {y}\n" for x, y in map(_numbers, shifted))
    return f"version: 1\nn_points: {len(landmarks)}\n{{\n{points}}}\n"


def csv_text(table: Annotations, images: Sequence[str]) -> str:
    """A table with all columns."""
    attributes = [ATTRIBUTE + name for name in table.attribute_names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *BOX, *point_columns(table.scheme.num_landmarks), *attributes])
    for row, image in enumerate(images):
        flags = [str(int(flag)) for flag in table.attributes[row]]
        numbers = [*_numbers(table.boxes[row]), *_numbers(table.landmarks[row])]
        writer.writerow([image, *numbers, *flags])
    return text.getvalue()


def coco_text(table: Annotations, images: Sequence[str], sizes: dict[str, tuple[int, int]]) -> str:
    """A keypoint file; `sizes` are width and height of each image."""
    ids = {image: number for number, image in enumerate(dict.fromkeys(images), start=1)}
    content = {
        "images": [
            {"id": number, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]}
            for name, number in ids.items()
        ],
        "annotations": [
            _coco_annotation(table, row, ids[image]) for row, image in enumerate(images)
        ],
        "categories": [_coco_category(table.scheme)],
    }
    return json.dumps(content) + "\n"


def _coco_annotation(table: Annotations, row: int, image_id: int) -> dict[str, Any]:
    points = _shifted(table.landmarks[row], -coco.TO_CORNERS)
    low = _shifted(table.boxes[row, :2], -coco.TO_CORNERS)
    extent = _shifted(table.boxes[row, 2:] - table.boxes[row, :2], 0)
    seen = np.full((len(points), 1), 2.0)
    flags = zip(table.attribute_names, table.attributes[row].tolist(), strict=True)
    annotation = {
        "id": row + 1,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": len(points),
        "keypoints": np.concatenate([points, seen], axis=1).ravel().tolist(),
        "bbox": [*low.tolist(), *extent.tolist()],
        "area": float(extent.prod()),
    }
    attributes = {name: int(flag) for name, flag in flags}
    return {**annotation, "attributes": attributes} if attributes else annotation


def _coco_category(scheme: Scheme) -> dict[str, Any]:
    skeleton = [[first + 1, second + 1] for first, second in scheme.edges]
    return {"id": 1, "name": "face", "keypoints": list(scheme.points), "skeleton": skeleton}


def _wflw_flags(table: Annotations) -> list[list[str]]:
    """ "0" or "1" for each of WFLW's attributes; "0" where the table does not have one."""
    columns = {name: table.attributes[:, i] for i, name in enumerate(table.attribute_names)}
    absent = np.zeros(len(table), dtype=np.bool_)
    flags = np.stack([columns.get(name, absent) for name in ATTRIBUTES], axis=1)
    return [[str(int(flag)) for flag in row] for row in flags]


def _shifted(values: np.ndarray, shift: float) -> np.ndarray:
    return np.round(values + shift, _DECIMALS)


def _numbers(values: np.ndarray) -> list[str]:
    return [repr(value).removesuffix(".0") for value in values.ravel().tolist()]
