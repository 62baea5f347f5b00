"""Checks of a WFLW folder against what was published: sizes of parts and subsets, subset lists."""

from collections.abc import Iterator

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.wflw import list_path, wflw_folder
from sesame_hpc.data.formats.wflw_subsets import read_subsets, subset_path

__all__ = ["OFFICIAL_FACES", "OFFICIAL_SUBSETS", "check_official_sizes", "check_subset_lists"]

OFFICIAL_FACES = {"train": 7500, "test": 2500}
OFFICIAL_SUBSETS = {
    "pose": 326,
    "expression": 314,
    "illumination": 698,
    "makeup": 206,
    "occlusion": 736,
    "blur": 773,
}
_SCHEME = "wflw98"


def check_official_sizes(inventory: Inventory) -> Iterator[Finding]:
    """Numbers of faces and, in a test part of the official size, of each attribute."""
    if inventory.format != "wflw" or inventory.scheme.name != _SCHEME:
        return
    folder = wflw_folder(inventory.root)
    for split, parsed in inventory.parts.items():
        place, faces = str(folder / list_path(split)), len(parsed.faces) + len(parsed.faults)
        if faces != OFFICIAL_FACES[split]:
            message = f"{faces:,} faces; WFLW's {split} part has {OFFICIAL_FACES[split]:,}"
            yield Finding("note", "official-size", place, message, value=float(faces))
        elif split == "test":
            yield from _check_attributes(parsed.faces, place)


def _check_attributes(test: Annotations, place: str) -> Iterator[Finding]:
    for name, count in zip(test.attribute_names, test.attributes.sum(axis=0), strict=True):
        if count != OFFICIAL_SUBSETS[name]:
            message = f"{count} faces have the attribute {name}; WFLW has {OFFICIAL_SUBSETS[name]}"
            yield Finding("warning", "official-size", place, message, value=float(count))


def check_subset_lists(inventory: Inventory) -> Iterator[Finding]:
    """Lists of subsets: lines that mean no test face, and lists that differ from attributes."""
    if inventory.format != "wflw" or "test" not in inventory.parts:
        return
    test = inventory.parts["test"].faces
    subsets = read_subsets(inventory.root, test)
    for fault in subsets.faults:
        yield Finding("error", "subset-list", fault.place, fault.problem)
    for name, rows in subsets.rows.items():
        flagged = np.flatnonzero(test.attributes[:, test.attribute_names.index(name)])
        if differing := np.setxor1d(rows, flagged).tolist():
            path = wflw_folder(inventory.root) / subset_path(name, inventory.scheme.num_landmarks)
            message = (
                f"lists {len(rows)} faces, but {len(flagged)} have the attribute {name}; "
                f"{len(differing)} differ, the first is {test.sources[differing[0]]}"
            )
            related = tuple(test.sources[row] for row in differing)
            yield Finding("warning", "subset-list", str(path), message, related)
