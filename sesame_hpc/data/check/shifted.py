"""The check for labels that are shifted by one image against the list of images.

Faces cut out by their own landmarks resemble their mean; cut out by landmarks of another face they
do not, or less. So each image of one face is also cut out by the labels of the rows before and
behind it, and where these give the better faces over many rows in a sequence, the labels are
shifted there.

What it cannot find: labels that are in another order but not shifted by one; images in which all
faces have the same place and shape, such as neighbouring frames of a video; fewer than 16 faces;
images with several faces; packs.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.images import ProbedImage
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.thumbnails import SIDE
from sesame_hpc.data.findings import Finding

__all__ = ["check_shifted_labels"]

_FEWEST, _ROWS_AT_ONCE = 16, 1024
_LEAST_Z = 3.2
"""Sum of the gains in likeness over the root of the sum of their squares.

At most 2.1 in 1,100 draws of 12 to 200 right labels of LFPW and of rendered faces, as photographs
and as tight crops. With shifted labels, at least 6.6 for 200 faces of LFPW and 2.8 for 50.
"""

_LEAST_GAIN, _LEAST_LIKENESS = 0.04, 0.15
_CLEAR_FEWEST, _CLEAR_Z, _CLEAR_OWN, _CLEAR_OTHER = 14, 2.6, 0.1, 0.2
"""Enough where the labels' own images show no faces at all (right labels have a likeness of 0.3),
and those beside them do."""

Float = NDArray[np.float32]


def check_shifted_labels(inventory: Inventory) -> Iterator[Finding]:
    """Sequences of rows whose labels fit the image of the row before or after better."""
    for split, table in inventory.tables():
        if not _has_single_faces(inventory, table):
            continue
        likeness = _likeness(inventory, table)
        for place, direction in ((0, "behind"), (2, "before")):
            gain = likeness[place] - likeness[1]
            gain[0 if place == 0 else -1] = -1.0  # no row there to compare with
            first, last = _best_sequence(gain)
            some = gain[first:last]
            if len(some) < _CLEAR_FEWEST or some.mean() < _LEAST_GAIN:
                continue
            z = float(some.sum() / np.sqrt((some**2).sum()))
            own, other = (float(likeness[each][first:last].mean()) for each in (1, place))
            is_clear = own <= _CLEAR_OWN and other >= _CLEAR_OTHER and z >= _CLEAR_Z
            is_likely = len(some) >= _FEWEST and z >= _LEAST_Z and other >= _LEAST_LIKENESS
            if not is_clear and not is_likely:
                continue
            # The image of row r shows the labels of row r - 1 or r + 1.
            step = -1 if place == 0 else 1
            start, end = first + step, last - 1 + step
            message = (
                f"{split}: the labels of {len(some)} faces, from here to {table.sources[end]}, fit "
                f"the image {direction} their own better (likeness {other:.2f} against {own:.2f}): "
                "labels and images look shifted by one"
            )
            yield Finding("error", "shifted-labels", table.sources[start], message, value=z)


def _has_single_faces(inventory: Inventory, table: Annotations) -> bool:
    """Whether enough images have one face."""
    images = (inventory.images.get(table.image_path(row)) for row in range(len(table)))
    single = (row for row, image in enumerate(images) if image is not None and _is_single(image))
    return len(list(islice(single, _FEWEST))) == _FEWEST


def _is_single(image: ProbedImage) -> bool:
    return any(each is not None for each in image.neighbours)


def _blocks(inventory: Inventory, table: Annotations) -> Iterator[tuple[slice, Float]]:
    """[3, B, D]: each row's image cut out by the labels of the row before, its own, the row after.

    Zeros where there is nothing to see.
    """
    for first in range(0, len(table), _ROWS_AT_ONCE):
        rows = range(first, min(first + _ROWS_AT_ONCE, len(table)))
        found = np.zeros((3, len(rows), SIDE * SIDE), dtype=np.float32)
        for row in rows:
            image = inventory.images.get(table.image_path(row))
            if image is None or not _is_single(image):
                continue
            before, behind = image.neighbours
            for place, thumbnail in enumerate((before, image.thumbnails[0], behind)):
                if thumbnail is not None:
                    found[place, row - first] = thumbnail
        yield slice(rows.start, rows.stop), found


def _likeness(inventory: Inventory, table: Annotations) -> Float:
    """[3, N]: correlation of each thumbnail with the mean face of the other rows.

    The mean is over that of the three ways to cut out whose faces are most alike.
    """
    sums = sum(found.sum(axis=1) for _, found in _blocks(inventory, table))
    way = int(np.argmax((np.asarray(sums) ** 2).sum(axis=1)))
    likeness = np.empty((3, len(table)), np.float32)
    for rows, found in _blocks(inventory, table):
        others = np.asarray(sums)[way] - found[way]
        length = np.maximum(np.linalg.norm(others, axis=1), 1e-9)
        likeness[:, rows] = np.einsum("snd,nd->sn", found, others) / length
    return likeness


def _best_sequence(gain: Float) -> tuple[int, int]:
    """First row and end of the sequence of rows with the largest sum (Kadane)."""
    best, first, last = 0.0, 0, 0
    running, start = 0.0, 0
    for row, value in enumerate(gain.tolist()):
        if running <= 0:
            running, start = 0.0, row
        running += value
        if running > best:
            best, first, last = running, start, row + 1
    return first, last
