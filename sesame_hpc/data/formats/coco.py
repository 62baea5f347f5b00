"""COCO keypoint JSON, as mmpose writes it: `images`, `annotations`, `categories`.

The file of a split is `annotations/<split>.json`, the only `annotations/*_<split>.json`, or
`<split>.json`. Each annotation has `image_id`, `keypoints` [x, y, v] * K, and optionally `bbox`
[x, y, width, height] (without it the tight box of the landmarks) and `attributes`, a mapping of
names to 0 or 1. Images lie in `images`, `<split>`, `images/<split>` or beside `annotations`:
wherever the first one is found.

Coordinates in the file are 0-based pixel centres: the centre of the first pixel is (0, 0), which
is (0.5, 0.5) in corner-based pixels. Boxes are in the same coordinates.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sesame_hpc.data.formats.faults import Fault, folder_entries, read_text
from sesame_hpc.data.formats.rows import (
    FARTHEST,
    ImageFolder,
    Parsed,
    ParsedFace,
    check_box,
    check_normaliser,
    parse_result,
)
from sesame_hpc.schemes import Scheme

__all__ = ["TO_CORNERS", "coco_path", "parse_coco"]

TO_CORNERS = 0.5


def coco_path(root: Path, split: str) -> Path | None:
    """The file of a split, or None where there is none."""
    named = sorted((root / "annotations").glob(f"*_{split}.json"))
    candidates = [root / "annotations" / f"{split}.json", *named[:1], root / f"{split}.json"]
    return next((path for path in candidates if path.is_file()), None)


def parse_coco(root: Path, split: str, scheme: Scheme) -> Parsed:
    """The faces of a split, one for each annotation, and the faults of its file.

    Raises:
        FileNotFoundError: no file of the split.
        ValueError: several files could be the split's.
    """
    path = _require_file(root, split)
    what = f"faces of {path}"
    try:
        content = _load(path)
        images = _parse_images(content, path)
        categories = _parse_categories(content, path)
        entries = _list(content, "annotations", path)
    except Fault as fault:
        return parse_result(what, scheme, root, [], [fault])
    folder = _image_folder(root, split, images)
    exists = ImageFolder(folder)
    names: tuple[str, ...] | None = None
    faces: list[ParsedFace] = []
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        place = f"{path}:annotations[{number}]"
        try:
            face, own_names = _parse_face(entry, images, categories, scheme, place)
            names = own_names if names is None else names
            _check_attribute_names(own_names, names, place)
            exists.require(face.image, place)
        except Fault as fault:
            faults.append(fault)
        else:
            faces.append(face)
    if not faces and not faults:
        faults.append(Fault("empty", path, "holds no face; `annotations` has one entry a face"))
    return parse_result(what, scheme, folder, faces, faults, names or ())


def _require_file(root: Path, split: str) -> Path:
    path = coco_path(root, split)
    if path is None:
        folder = root / "annotations" if (root / "annotations").is_dir() else root
        raise FileNotFoundError(
            f"no {split} split: looked for annotations/{split}.json, annotations/*_{split}.json "
            f"and {split}.json in {root}; {folder_entries(folder)}"
        )
    several = sorted(path.parent.glob(f"*_{split}.json"))
    if path in several and len(several) > 1:
        listed = ", ".join(each.name for each in several)
        raise ValueError(
            f"several {split} splits in {path.parent}: {listed}; name one of them {split}.json"
        )
    return path


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise Fault("layout", f"{path}:{error.lineno}", f"no JSON: {error.msg}") from error
    except RecursionError as error:
        raise Fault("layout", path, "no COCO file: nested too deeply") from error
    except Fault:
        raise
    except ValueError as error:
        raise Fault("layout", path, f"no JSON: {error}") from error
    if not isinstance(content, dict):
        raise Fault("layout", path, "holds no object with `images` and `annotations`")
    return content


def _list(content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list):
        raise Fault("layout", f"{path}:{key}", "is no list; a COCO file has one under this key")
    return value


def _parse_images(content: Mapping[str, Any], path: Path) -> dict[int | str, str]:
    """File names by image id."""
    images: dict[int | str, str] = {}
    for number, entry in enumerate(_list(content, "images", path)):
        place = f"{path}:images[{number}]"
        name = entry.get("file_name") if isinstance(entry, dict) else None
        key = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(key, int | str) or not isinstance(name, str) or not name:
            raise Fault("layout", place, "an image has an `id` and a `file_name`")
        if key in images:
            raise Fault("layout", place, f"id {key!r} is also that of {images[key]}")
        images[key] = name
    return images


def _parse_categories(content: Mapping[str, Any], path: Path) -> dict[int | str, list[str]]:
    """The names of the keypoints of each category that gives them."""
    categories: dict[int | str, list[str]] = {}
    if "categories" not in content:
        return categories
    for number, entry in enumerate(_list(content, "categories", path)):
        names = entry.get("keypoints", []) if isinstance(entry, dict) else None
        key = entry.get("id") if isinstance(entry, dict) else None
        fine = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if names is None or not fine or not isinstance(key, int | str):
            problem = "a category has an `id` and a list of names, `keypoints`"
            raise Fault("layout", f"{path}:categories[{number}]", problem)
        if names:
            categories[key] = names
    return categories


def _image_folder(root: Path, split: str, images: Mapping[int | str, str]) -> Path:
    first = next(iter(images.values()), "")
    for folder in (root / "images", root / split, root / "images" / split):
        try:
            if first and (folder / first).is_file():
                return folder
        except OSError:
            break
    return root


def _parse_face(
    entry: Any,
    images: Mapping[int | str, str],
    categories: Mapping[int | str, list[str]],
    scheme: Scheme,
    place: str,
) -> tuple[ParsedFace, tuple[str, ...]]:
    if not isinstance(entry, dict):
        raise Fault("layout", place, "is no object; an annotation has `image_id` and `keypoints`")
    key = entry.get("image_id")
    if not isinstance(key, int | str) or key not in images:
        raise Fault("image", place, f"image_id is {key!r}, which is the id of no image")
    category = entry.get("category_id")
    if isinstance(category, int | str) and category in categories:
        _check_names(categories[category], scheme, place)
    coordinates = _parse_keypoints(entry.get("keypoints"), scheme, place)
    check_normaliser(coordinates, scheme, place)
    box = _parse_box(entry["bbox"], place) if entry.get("bbox") is not None else None
    attributes = entry.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(v in (0, 1) for v in attributes.values()):
        raise Fault("attribute", place, "`attributes` takes a mapping of names to 0 or 1")
    flags = [bool(value) for value in attributes.values()]
    return ParsedFace(place, images[key], coordinates, box, flags), tuple(attributes)


def _check_names(names: list[str], scheme: Scheme, place: str) -> None:
    if len(names) != scheme.num_landmarks:
        problem = (
            f"its category names {len(names)} keypoints; "
            f"scheme {scheme.name} has {scheme.num_landmarks}"
        )
        raise Fault("fields", place, problem)
    if tuple(names) != scheme.points and set(names) == set(scheme.points):
        wrong = next(i for i, name in enumerate(names) if name != scheme.points[i])
        problem = (
            f"its category has the points of scheme {scheme.name} in another order: "
            f"point {wrong} is {names[wrong]}, and {scheme.points[wrong]} in the scheme"
        )
        raise Fault("layout", place, problem)


def _parse_keypoints(value: Any, scheme: Scheme, place: str) -> list[float]:
    expected = 3 * scheme.num_landmarks
    if not isinstance(value, list) or len(value) != expected:
        found = f"{len(value)} numbers" if isinstance(value, list) else "no list"
        problem = f"`keypoints` is {found}; takes {expected}: x, y, v of each point"
        raise Fault("fields", place, problem)
    numbers = _parse_numbers(value, "keypoints", place)
    if (hidden := next((i for i, seen in enumerate(numbers[2::3]) if seen <= 0), None)) is not None:
        problem = f"point {hidden} is not labelled (v is 0); every point of a face is needed"
        raise Fault("number", place, problem)
    return [number + TO_CORNERS for i, number in enumerate(numbers) if i % 3 < 2]


def _parse_box(value: Any, place: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 4:
        raise Fault("fields", place, "`bbox` is no list of four numbers: x, y, width, height")
    x, y, width, height = _parse_numbers(value, "bbox", place)
    box = [x + TO_CORNERS, y + TO_CORNERS, x + width + TO_CORNERS, y + height + TO_CORNERS]
    check_box(box, place)
    return box


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


def _check_attribute_names(names: tuple[str, ...], first: tuple[str, ...], place: str) -> None:
    if names != first:
        problem = (
            f"has the attributes {', '.join(names) or 'none'}, but the first face has "
            f"{', '.join(first) or 'none'}; all faces have the same"
        )
        raise Fault("attribute", place, problem)
