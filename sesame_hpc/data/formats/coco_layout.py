"""The lists of a COCO keypoint file: images, categories, annotations, each entry checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault, read_text
from sesame_hpc.data.formats.point_names import folded, points_in_order
from sesame_hpc.schemes import Scheme

__all__ = ["Category", "Layout", "id_of", "load_layout"]

_LARGEST_SIDE = 10**6


@dataclass(frozen=True)
class Category:
    """`order` are the places of the scheme's points among its keypoints; None as they stand.

    `problem` says why its objects are not faces of the scheme. `is_named`: a keypoint has the name
    of a point of the scheme.
    """

    name: str
    order: tuple[int, ...] | None = None
    problem: str = ""
    is_named: bool = False


@dataclass(frozen=True)
class Layout:
    """A file's lists. `images` are file names by id, `sizes` their width and height as stated.

    Ids are those of `id_of`. `broken` says of the ids of other images what is wrong with them.
    `category_names` are those of all categories by id, also of those that name no keypoints.
    """

    images: dict[str, str]
    sizes: dict[str, tuple[int, int]]
    categories: dict[str, Category]
    annotations: list[Any]
    findings: list[Finding] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    category_names: dict[str, str] = field(default_factory=dict)

    def category(self, entry: Mapping[str, Any]) -> Category | None:
        """That of an annotation, where it names keypoints."""
        key = id_of(entry.get("category_id"))
        return None if key is None else self.categories.get(key)

    def check_category(self, entry: Mapping[str, Any], place: str) -> None:
        """Raise a Fault if the file lists categories, and an annotation is of none of them."""
        given = entry.get("category_id")
        if not self.category_names or given is None or id_of(given) in self.category_names:
            return
        known = [f"{key} ({name!r:.40})" for key, name in list(self.category_names.items())[:4]]
        more = ", ..." * (len(self.category_names) > 4)
        problem = (
            f"category_id is {given!r:.40}, which is the id of no category; `categories` has "
            f"{', '.join(known)}{more}"
        )
        raise Fault("layout", place, problem)


def load_layout(path: Path, scheme: Scheme) -> Layout:
    """The lists of the file `path`.

    Raises:
        Fault: it is not such a file, by line or key.
    """
    content = _load(path)
    images, sizes, broken = _parse_images(content, path)
    findings: list[Finding] = []
    names: dict[str, str] = {}
    categories = _parse_categories(content, path, scheme, findings, names)
    annotations = _list(content, "annotations", path)
    return Layout(images, sizes, categories, annotations, findings, broken, names)


def id_of(value: Any) -> str | None:
    """An id as text, so that 7, 7.0 and "7" are one; None for what cannot be one."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | str) else None


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise Fault("layout", f"{path}:{error.lineno}", f"is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise Fault("layout", path, "is not a COCO file: nested too deeply") from error
    except Fault:
        raise
    except ValueError as error:
        raise Fault("layout", path, f"is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Fault("layout", path, "holds no object with `images` and `annotations`")
    return content


def _list(content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list):
        problem = "is not a list; a COCO file has one under this key"
        raise Fault("layout", f"{path}:{key}", problem)
    return value


def _parse_images(
    content: Mapping[str, Any], path: Path
) -> tuple[dict[str, str], dict[str, tuple[int, int]], dict[str, str]]:
    images: dict[str, str] = {}
    broken: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for number, entry in enumerate(_list(content, "images", path)):
        place = f"{path}:images[{number}]"
        name = entry.get("file_name") if isinstance(entry, dict) else None
        key = id_of(entry.get("id")) if isinstance(entry, dict) else None
        if key is None:
            raise Fault("layout", place, "an image has an `id` and a `file_name`")
        if not isinstance(name, str) or not name:
            broken[key] = f"images[{number}], which has no `file_name`"
            continue
        if key in images and images[key] != name:
            raise Fault("layout", place, f"id {key} is also that of {images[key]}")
        images[key] = name
        sides = [entry.get("width"), entry.get("height")]
        if all(isinstance(side, int) and 0 < side <= _LARGEST_SIDE for side in sides):
            sizes[key] = (sides[0], sides[1])
    return images, sizes, broken


def _parse_categories(
    content: Mapping[str, Any],
    path: Path,
    scheme: Scheme,
    findings: list[Finding],
    category_names: dict[str, str],
) -> dict[str, Category]:
    categories: dict[str, Category] = {}
    if "categories" not in content:
        return categories
    for number, entry in enumerate(_list(content, "categories", path)):
        place = f"{path}:categories[{number}]"
        names = (entry.get("keypoints") or []) if isinstance(entry, dict) else None
        key = id_of(entry.get("id")) if isinstance(entry, dict) else None
        fine = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not isinstance(entry, dict) or not fine or key is None:
            problem = "a category has an `id` and, of keypoints, a list of their names"
            raise Fault("layout", place, problem)
        category_names[key] = name = str(entry.get("name", key))
        if names:
            categories[key] = _category(name, names, scheme, place, findings)
    _leave_out_others(categories, path, findings)
    return categories


def _leave_out_others(categories: dict[str, Category], path: Path, findings: list[Finding]) -> None:
    """Of several categories with as many points, those that name none of the scheme's, if one does.

    Where none does, all are taken, which is a finding.
    """
    fitting = {key: each for key, each in categories.items() if not each.problem}
    if len(fitting) < 2:
        return
    if not any(each.is_named for each in fitting.values()):
        listed = ", ".join(repr(each.name) for each in list(fitting.values())[:4])
        message = f"categories {listed} have as many points as the scheme, and none names one of "
        message += "its points: objects of all of them are taken for faces"
        findings.append(Finding("warning", "several-categories", f"{path}:categories", message))
        return
    for key, each in fitting.items():
        if not each.is_named:
            categories[key] = replace(each, problem="names none of the scheme's points")


def _category(
    name: str, names: list[str], scheme: Scheme, place: str, findings: list[Finding]
) -> Category:
    if len(names) != scheme.num_landmarks:
        problem = f"names {len(names)} keypoints; scheme {scheme.name} has {scheme.num_landmarks}"
        return Category(name, None, problem)
    try:
        order = points_in_order(names, scheme)
    except ValueError as error:
        raise Fault("layout", place, f"category {name!r} {error}") from error
    if order is not None:
        message = f"category {name!r} has the points of scheme {scheme.name} in another order: "
        message += "they were put in the scheme's"
        findings.append(Finding("note", "points-reordered", place, message))
    is_named = not {folded(each) for each in names}.isdisjoint(map(folded, scheme.points))
    return Category(name, order, is_named=is_named)
