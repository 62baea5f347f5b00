"""The check of units: coordinates are pixels, and not fractions or percent of the image."""

from collections.abc import Iterator

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.sentinel_points import in_fractions
from sesame_hpc.data.findings import Finding

__all__ = ["check_units"]

_PERCENT = 100.5
_PERCENT_NEEDS_SIDE, _PERCENT_NEEDS_FACES = 200, 3


def check_units(inventory: Inventory) -> Iterator[Finding]:
    """Coordinates that are fractions of the image's size or percent instead of pixels."""
    for split, table in inventory.tables():
        fractions = np.flatnonzero(in_fractions(table.landmarks))
        rows, unit = np.arange(len(table)), "percent of the image's size (0 to 100)"
        if len(fractions):
            rows, unit = fractions, "fractions of the image's size (0 to 1)"
        farthest = float(np.nanmax(np.abs(table.landmarks[rows])))
        if not len(fractions) and not (farthest <= _PERCENT and _all_large(inventory, table)):
            continue
        part = f"{len(rows)} faces" if len(rows) > 1 else "1 face"
        if len(rows) < len(table):
            part += f" of {len(table)}"
        message = (
            f"{split}: no coordinate of {part} is above {farthest:.4g}: they look like {unit}, "
            "and pixels are needed"
        )
        related = tuple(table.sources[row] for row in rows[1:])
        yield Finding("error", "units", table.sources[rows[0]], message, related, farthest)


def _all_large(inventory: Inventory, table: Annotations) -> bool:
    images = (inventory.images.get(table.image_path(row)) for row in range(len(table)))
    sides = [min(image.size) for image in images if image is not None and image.size is not None]
    enough = len(sides) >= _PERCENT_NEEDS_FACES and len(table) >= _PERCENT_NEEDS_FACES
    return enough and float(np.median(sides)) >= _PERCENT_NEEDS_SIDE
