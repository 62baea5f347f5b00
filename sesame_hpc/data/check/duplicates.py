"""Checks for the same face, or the same photograph, more than once; and for test faces in train."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from sesame_hpc.data.check.inventory import Face, Inventory
from sesame_hpc.data.check.thumbnails import similar_pairs
from sesame_hpc.data.findings import Finding, Level

__all__ = ["LEAST_LIKENESS", "check_copies", "check_look_alikes", "check_repeated_faces"]

LEAST_LIKENESS = 0.81
"""Correlation of two thumbnails from which on they show one photograph.

By eye, all pairs above it among 805 faces of LFPW were copies, and the first pair of different
photographs stood at 0.79; among 2,400 rendered faces the most alike stood at 0.807.
"""


def check_repeated_faces(inventory: Inventory) -> Iterator[Finding]:
    """Lines with the same image and the same landmarks as an earlier one."""
    first_of: dict[tuple[Path, bytes], Face] = {}
    for face in inventory.faces:
        first = first_of.setdefault(_identity(face), face)
        if first is not face:
            yield _repeated(face, first, "same image and landmarks as", "same-face", "warning")


def check_copies(inventory: Inventory) -> Iterator[Finding]:
    """Image files of different names and the same bytes; image files of both parts."""
    first_face: dict[Path, Face] = {}
    splits_of: dict[Path, set[str]] = {}
    for face in inventory.faces:
        first_face.setdefault(face.path, face)
        splits_of.setdefault(face.path, set()).add(face.split)
    first_of: dict[bytes, Path] = {}
    for path, image in inventory.images.items():
        first = first_of.setdefault(image.digest or str(path).encode(), path)
        if first != path:
            words = f"{path.name} has the same bytes as {first.name} of"
            yield _repeated(first_face[path], first_face[first], words, "same-image", "warning")
    for path, splits in splits_of.items():
        if len(splits) > 1:
            message = f"faces of train and of test are on {path}"
            yield Finding("note", "image-in-both", first_face[path].source, message)


def check_look_alikes(inventory: Inventory) -> Iterator[Finding]:
    """Faces that look like an earlier one although neither bytes nor line are the same."""
    faces = [face for face in inventory.faces if face.thumbnail is not None]
    if not faces:
        return
    thumbnails = np.stack([face.thumbnail for face in faces if face.thumbnail is not None])
    firsts, seconds, values = similar_pairs(thumbnails, LEAST_LIKENESS)
    pairs = zip(seconds.tolist(), firsts.tolist(), values.tolist(), strict=True)
    for second, group in groupby(pairs, key=lambda pair: pair[0]):
        face = faces[second]
        others = [(value, faces[first]) for _, first, value in group]
        others = [pair for pair in others if not _known(inventory, face, pair[1])]
        if others:
            yield _look_alike(face, sorted(others, key=lambda pair: -pair[0]))


def _look_alike(face: Face, others: list[tuple[float, Face]]) -> Finding:
    value, nearest = next((o for o in others if o[1].split != face.split), others[0])
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    if nearest.path == face.path:
        words = f"{face.path.name}: this face is already labelled; likeness {value:.2f}{more}, see"
        check = "labelled-twice"
    else:
        words = f"{face.path.name} shows the photograph {nearest.path.name}"
        words += f"; likeness {value:.2f}{more}, see"
        check = "look-alike"
    finding = _repeated(face, nearest, words, check, "warning", same=False)
    related = (nearest.source, *(o.source for _, o in others if o is not nearest))
    return Finding(finding.level, finding.check, face.source, finding.message, related, value)


def _repeated(
    face: Face, first: Face, words: str, check: str, level: Level, same: bool = True
) -> Finding:
    """A finding about two faces; of its own kind where one is of train and one of test."""
    message = f"{words} {first.source}"
    if face.split == first.split:
        return Finding(level, check, face.source, message, (first.source,))
    across: Level = "error" if same else "warning"
    message = f"{first.split} and {face.split}: {message}"
    return Finding(across, "test-in-train", face.source, message, (first.source,))


def _identity(face: Face) -> tuple[Path, bytes]:
    return face.path, face.landmarks.tobytes()


def _known(inventory: Inventory, face: Face, other: Face) -> bool:
    """Whether the other checks say it already: the same line again, or a copy of the file."""
    if face.path == other.path:
        return _identity(face) == _identity(other)
    return inventory.images[face.path].digest == inventory.images[other.path].digest
