"""WFLW's official folders, for any scheme of K points.

`WFLW_images/` holds the images; `WFLW_annotations/list_<K>pt_rect_attr_train_test/` holds
`list_<K>pt_rect_attr_train.txt` and `..._test.txt`. A line is a face: K pairs x y, the box
x_min y_min x_max y_max, six attributes 0 or 1, and the image's path below `WFLW_images/`.
"""

import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.faults import Faults, folder_entries, read_lines
from sesame_hpc.schemes import Scheme

__all__ = ["ATTRIBUTES", "has_wflw_list", "list_path", "read_wflw"]

ATTRIBUTES = ("pose", "expression", "illumination", "makeup", "occlusion", "blur")
_IMAGES = "WFLW_images"
_BOX = ("x_min", "y_min", "x_max", "y_max")


class _Face(NamedTuple):
    numbers: list[float]
    attributes: list[bool]
    image: str


def list_path(split: str, landmarks: int = 98) -> Path:
    """Where the list of a split lies, relative to the WFLW folder."""
    kind = f"list_{landmarks}pt_rect_attr"
    return Path("WFLW_annotations", f"{kind}_train_test", f"{kind}_{split}.txt")


def has_wflw_list(root: Path, split: str, scheme: Scheme) -> bool:
    """Whether the split's list exists."""
    return (_wflw_folder(root) / list_path(split, scheme.num_landmarks)).is_file()


def read_wflw(root: Path, split: str, scheme: Scheme) -> Annotations:
    """The faces of a split. `root` is the folder that holds `WFLW_images`, or its parent.

    Numbers are taken as they are. Lines without text are passed over.

    Raises:
        FileNotFoundError: no list of the split, or no folder of images.
        ValueError: an empty list, or faults of its lines, each with file and line.
    """
    folder = _wflw_folder(root)
    path = _require_list(folder, split, scheme.num_landmarks)
    if not (folder / _IMAGES).is_dir():
        raise FileNotFoundError(f"no folder {folder / _IMAGES}; {folder_entries(folder)}")
    faces, sources = _read_faces(path, folder / _IMAGES, scheme)
    numbers = np.array([face.numbers for face in faces])
    return Annotations(
        scheme=scheme,
        root=folder / _IMAGES,
        images=tuple(face.image for face in faces),
        boxes=numbers[:, -len(_BOX) :],
        landmarks=numbers[:, : -len(_BOX)].reshape(len(faces), -1, 2),
        attributes=np.array([face.attributes for face in faces], dtype=np.bool_),
        attribute_names=ATTRIBUTES,
        sources=tuple(sources),
        sample_ids=np.arange(len(faces), dtype=np.int64),
    )


def _wflw_folder(root: Path) -> Path:
    nested = root / "WFLW"
    return nested if nested.is_dir() and not (root / _IMAGES).is_dir() else root


def _require_list(folder: Path, split: str, landmarks: int) -> Path:
    path = folder / list_path(split, landmarks)
    if path.is_file():
        return path
    existing = next(place for place in (path.parent, *path.parents) if place.is_dir())
    raise FileNotFoundError(
        f"no {split} list of {landmarks} points: looked for {path}; {folder_entries(existing)}"
    )


def _read_faces(path: Path, images: Path, scheme: Scheme) -> tuple[list[_Face], list[str]]:
    faults = Faults(f"faces of {path}")
    faces: list[_Face] = []
    sources: list[str] = []
    exists = cache(lambda name: (images / name).is_file())
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields:
            continue
        source = f"{path}:{number}"
        try:
            face = _parse_face(fields, scheme)
        except ValueError as error:
            faults.add(f"{source}: {error}")
            continue
        if not exists(face.image):
            faults.add(f"{source}: no image {images / face.image}")
        faces.append(face)
        sources.append(source)
    faults.raise_if_any()
    if not faces:
        raise ValueError(f"{path}: holds no face; each line is one of {_form(scheme)}")
    return faces, sources


def _parse_face(fields: list[str], scheme: Scheme) -> _Face:
    coordinates = 2 * scheme.num_landmarks
    first_attribute = coordinates + len(_BOX)
    if len(fields) != first_attribute + len(ATTRIBUTES) + 1:
        raise ValueError(f"has {len(fields)} fields; a face has {_form(scheme)}")
    numbers = _parse_numbers(fields[:first_attribute])
    _check_box(numbers[coordinates:])
    _check_normaliser(numbers, scheme)
    attributes = _parse_attributes(fields[first_attribute:-1])
    return _Face(numbers, attributes, fields[-1])


def _parse_numbers(fields: list[str]) -> list[float]:
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        position = next(i for i, field in enumerate(fields) if not _is_finite_number(field))
        raise ValueError(
            f"field {position + 1} is {fields[position]!r}; fields 1 to {len(fields)} "
            "(landmarks and box) are finite numbers"
        )
    return numbers


def _is_finite_number(field: str) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _check_box(box: list[float]) -> None:
    x_min, y_min, x_max, y_max = box
    if x_max <= x_min or y_max <= y_min:
        found = ", ".join(f"{name} {value:g}" for name, value in zip(_BOX, box, strict=True))
        raise ValueError(f"empty box ({found}); x_max > x_min and y_max > y_min in a box")


def _check_normaliser(numbers: list[float], scheme: Scheme) -> None:
    first, second = scheme.normaliser
    if numbers[2 * first : 2 * first + 2] == numbers[2 * second : 2 * second + 2]:
        raise ValueError(
            f"points {first} and {second} coincide; errors are divided by their distance"
        )


def _parse_attributes(fields: list[str]) -> list[bool]:
    for name, field in zip(ATTRIBUTES, fields, strict=True):
        if field not in ("0", "1"):
            raise ValueError(f"attribute {name} is {field!r}; it is 0 or 1")
    return [field == "1" for field in fields]


def _form(scheme: Scheme) -> str:
    coordinates = 2 * scheme.num_landmarks
    total = coordinates + len(_BOX) + len(ATTRIBUTES) + 1
    return (
        f"{total} fields ({coordinates} coordinates, {len(_BOX)} of the box, "
        f"{len(ATTRIBUTES)} attributes, an image name without spaces)"
    )
