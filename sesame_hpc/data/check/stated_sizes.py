"""The check of image sizes that annotations state."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding, Level
from sesame_hpc.plural import counted

__all__ = ["check_stated_sizes"]

_MOST = 0.8
"""What holds for this share of the faces is taken to be how all were made."""

_SAME_RATIO, _ROUNDING = 0.03, 1


def check_stated_sizes(inventory: Inventory) -> Iterator[Finding]:
    """Image sizes that the annotations state and the files do not have."""
    for split, parsed in inventory.parts.items():
        table, found = parsed.faces, []
        for row in range(len(table)):
            image = inventory.images.get(table.image_path(row))
            stated = parsed.sizes.get(table.images[row])
            if image is None or image.size is None or stated is None:
                continue
            if max(abs(a - b) for a, b in zip(stated, image.size, strict=True)) > _ROUNDING:
                turned = image.header is not None and image.header.orientation != 1
                fits = bool(np.nanmax(table.landmarks[row] - stated) <= _ROUNDING)
                found.append((row, stated, image.size, _explain(stated, image.size, turned, fits)))
        reasons = Counter(reason for *_, reason in found)
        if not found:
            continue
        reason, count = reasons.most_common(1)[0]
        sure = bool(reason) and count >= _MOST * len(found)
        row, stated, size, _ = next(each for each in found if not sure or each[3] == reason)
        message = (
            f"{split}: {counted(len(found), 'face')} on images of another size than stated: "
            f"{table.images[row]} has {size[0]} x {size[1]} pixels, and {stated[0]} x {stated[1]} "
            "are stated"
        )
        message += f"; {reason}" if sure else ""
        related = tuple(table.sources[each[0]] for each in found if each[0] != row)
        place, value = table.sources[row], float(len(found))
        level: Level = "error" if sure else "note"
        yield Finding(level, "stated-size", place, message, related, value)


def _explain(stated: tuple[int, int], size: tuple[int, int], turned: bool, fits: bool) -> str:
    """What would explain a contradiction; empty where nothing does."""
    swapped = max(abs(stated[0] - size[1]), abs(stated[1] - size[0])) <= _ROUNDING
    if swapped and turned:
        return "the landmarks seem to be those of the image before EXIF turns it upright"
    if swapped:
        return "width and height are swapped, or the landmarks are those of a turned image"
    ratios = [size[0] / stated[0], size[1] / stated[1]]
    alike = abs(ratios[0] / ratios[1] - 1) <= _SAME_RATIO + 1 / min(stated)
    if alike and fits:
        return "the landmarks seem to be those of a copy of another size: scale them by the ratio"
    return ""
