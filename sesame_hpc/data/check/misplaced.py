"""The check for landmarks that are numbers of another kind than pixels of their images.

Faces cut out by their own landmarks resemble each other. Where those that are cut out by the
landmarks as given do not, and those cut out under another reading of the numbers do, the numbers
mean that.

What it cannot find: fewer than 16 images of one face; images in which faces have the same place
under both readings; packs.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.other_readings import OTHER_READINGS
from sesame_hpc.data.check.thumbnails import SIDE
from sesame_hpc.data.findings import Finding

__all__ = ["check_misplaced_landmarks"]

_FEWEST = 16
_LEAST_Z = 2.8
_LEAST_LIKENESS, _MOST_LIKENESS = 0.2, 0.8
"""Under the other reading: what is more alike than faces are is the same ground in all images."""

_AS_GOOD = 0.9
_OWN_SHARE, _MOST_OWN_LIKENESS = 0.5, 0.2
"""As given: right labels have a likeness of 0.32 in LFPW, wrong ones of 0.17 at most."""

Float = NDArray[np.float32]


def check_misplaced_landmarks(inventory: Inventory) -> Iterator[Finding]:
    """Parts whose images show faces where another reading of the landmarks has them."""
    for split, table in inventory.tables():
        thumbnails = _thumbnails(inventory, table)
        if thumbnails is None:
            continue
        likeness = _likeness(thumbnails)
        means = likeness.mean(axis=1)
        best = 1 + int(np.argmax(means[1:]))
        own, other = float(means[0]), float(means[best])
        gain = likeness[best] - likeness[0]
        z = float(gain.sum() / max(float(np.sqrt((gain**2).sum())), 1e-9))
        if not _LEAST_LIKENESS <= other <= _MOST_LIKENESS or z < _LEAST_Z:
            continue
        if own > min(_OWN_SHARE * other, _MOST_OWN_LIKENESS):
            continue
        alike = np.flatnonzero(means[1:] >= _AS_GOOD * other).tolist()
        reading = " or ".join(list(OTHER_READINGS)[each] for each in alike)
        message = (
            f"{split}: the images show faces where the landmarks would be if their numbers were "
            f"{reading} (likeness {other:.2f} against {own:.2f}); pixels, x before y, from the "
            "upper left corner are needed"
        )
        yield Finding("error", "misplaced", table.sources[0], message, value=z)


def _thumbnails(inventory: Inventory, table: Annotations) -> Float | None:
    """[1 + R, N, D]: images cut out by the landmarks as given, and under each other reading.

    Zeros where there is nothing to see. None where too few images have one face.
    """
    found = []
    for path in dict.fromkeys(table.image_path(row) for row in range(len(table))):
        image = inventory.images.get(path)
        if image is None or not image.readings or len(image.thumbnails) != 1:
            continue
        found.append([*image.thumbnails, *image.readings])
    if len(found) < _FEWEST:
        return None
    nothing = np.zeros(SIDE * SIDE, np.float32)
    rows = [[nothing if each is None else each for each in own] for own in found]
    return np.array(rows, np.float32).transpose(1, 0, 2)


def _likeness(thumbnails: Float) -> Float:
    """[1 + R, N]: correlation of each thumbnail with the mean of the others of its reading."""
    others = thumbnails.sum(axis=1, keepdims=True) - thumbnails
    length = np.maximum(np.linalg.norm(others, axis=2), 1e-9)
    return np.asarray(np.einsum("rnd,rnd->rn", thumbnails, others) / length, np.float32)
