"""The check of axes: x before y, y from above, and left and right those of the image.

It goes by the names of points: where eyes, brows and pupils are against mouth, lips and chin, the
nose between them, and points of `image_left` against their mirrored ones.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding
from sesame_hpc.schemes import Scheme

__all__ = ["check_orientation"]

_FEWEST, _MOST = 3, 0.8
_UPPER, _NOSE, _LOWER = ("eye", "brow", "pupil"), ("nose",), ("mouth", "lip", "chin")

Float = NDArray[np.float64]


def check_orientation(inventory: Inventory) -> Iterator[Finding]:
    """Parts in which most faces lie on their side, upside down, or mirrored."""
    upper, lower, nose = (_named(inventory.scheme, words) for words in (_UPPER, _LOWER, _NOSE))
    for split, table in inventory.tables():
        points = inventory.points(split)
        down = _middle(points, lower) - _middle(points, upper)
        known = np.isfinite(down).all(axis=1)
        words = ""
        if known.sum() >= _FEWEST:
            x, y = down[known].T
            if (np.abs(x) > np.abs(y)).mean() >= _MOST:
                words = (
                    "mouths are beside eyes, not below: x and y look exchanged, or the landmarks "
                    "are those of turned images"
                )
            elif (y < 0).mean() >= _MOST:
                words = "mouths are above eyes: y counts from above, and 0 is the upper edge"
            elif _outside(points, upper, lower, nose) >= _MOST:
                words = (
                    "noses are not between eyes and mouths: the points look written in another "
                    f"order than that of scheme {inventory.scheme.name}"
                )
        mirrored = _mirrored(points, inventory.scheme)
        if not words and len(mirrored) >= _FEWEST and mirrored.mean() >= _MOST:
            words = (
                "points that are named image_left are right of their mirrored ones: left and "
                "right are those of the image, not of the person (exchange them as the scheme's "
                "mirror does)"
            )
        if words:
            message = f"{split}: in most of {len(table)} faces, {words}"
            yield Finding("error", "orientation", table.sources[0], message)


def _named(scheme: Scheme, words: tuple[str, ...]) -> list[int]:
    """The points whose names hold one of the words."""
    names = [name.casefold() for name in scheme.points]
    return [point for point, name in enumerate(names) if any(word in name for word in words)]


def _middle(points: Float, chosen: list[int]) -> Float:
    """The mean of the chosen points that are labelled [N, 2]; NaN where there are none."""
    labelled = np.isfinite(points[:, chosen]).all(axis=2)
    count = labelled.sum(axis=1)[:, None]
    total = np.nan_to_num(points[:, chosen]).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _outside(points: Float, upper: list[int], lower: list[int], nose: list[int]) -> float:
    """The share of faces whose nose is above the eyes or below the mouth."""
    eyes, mouths, noses = (_middle(points, chosen)[:, 1] for chosen in (upper, lower, nose))
    known = np.isfinite(eyes + mouths + noses)
    outside = (noses < eyes) | (noses > mouths)
    return float(outside[known].mean()) if known.sum() >= _FEWEST else 0.0


def _mirrored(points: Float, scheme: Scheme) -> NDArray[np.bool_]:
    """Whether points of image_left are right of their mirrored ones, of faces where both are."""
    left = [point for point, name in enumerate(scheme.points) if "image_left" in name.casefold()]
    right = [scheme.mirror[point] for point in left]
    if not left:
        return np.zeros(0, np.bool_)
    offsets = points[:, right, 0] - points[:, left, 0]
    known = np.isfinite(offsets).any(axis=1)
    return np.asarray(np.nansum(offsets[known], axis=1) < 0)
