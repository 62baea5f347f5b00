"""The check for numbers that stand for missing points."""

from collections.abc import Iterator

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.sentinel_points import Mask
from sesame_hpc.data.findings import Finding

__all__ = ["check_sentinels"]


def check_sentinels(inventory: Inventory) -> Iterator[Finding]:
    """Points that several faces have at one place, at the image's first corner or outside.

    Also points in other corners of their images, and three or more points of a face at exactly
    one place.
    """
    for split, table in inventory.tables():
        sentinels = inventory.sentinels[split]
        for (x, y), points in sentinels.places.items():
            words = (
                f"at exactly ({x:g}, {y:g}); if that stands for points that are not labelled, "
                f"say --missing={x:g},{y:g} (data.missing=[{x:g},{y:g}])"
            )
            yield _finding(split, table, points, words)
        if sentinels.corners.any():
            words = (
                "exactly in a corner of their image; if that stands for points that are not "
                "labelled, leave them out of the file (v = 0, or empty cells)"
            )
            yield _finding(split, table, sentinels.corners, words)


def _finding(split: str, table: Annotations, points: Mask, words: str) -> Finding:
    rows = np.flatnonzero(points.any(axis=1)).tolist()
    count, faces = int(points.sum()), len(rows)
    are = "1 point is" if count == 1 else f"{count} points of {faces} face{'s' * (faces > 1)} are"
    related = tuple(table.sources[row] for row in rows[1:])
    place = table.sources[rows[0]]
    return Finding("error", "sentinel", place, f"{split}: {are} {words}", related, float(count))
