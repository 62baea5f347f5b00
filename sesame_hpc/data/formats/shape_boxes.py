"""Which of the boxes drawn on an image is that of which face, as CVAT and LabelMe have them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sesame_hpc.data.findings import Finding

__all__ = ["ShapeBox", "boxes_of_faces"]

_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class ShapeBox:
    """A box: x_min, y_min, x_max, y_max. `group` says which face it is of; None: not said."""

    corners: tuple[float, float, float, float]
    group: str | None = None


def boxes_of_faces(
    faces: Sequence[tuple[str, str | None, Sequence[float]]],
    boxes: Sequence[ShapeBox],
    findings: list[Finding],
) -> list[list[float] | None]:
    """The box of each of `faces` (place, group, 2K coordinates) of an image; None for none.

    The only box of a face's group is its box. Of several, or where neither has a group, it is the
    one that holds most of its labelled points, at least half of them, and the smallest of such. A
    box that two faces would have is nobody's. A face that gets none of the boxes that it could
    have had is a finding.
    """
    chosen = [_choose(group, points, boxes) for _, group, points in faces]
    result: list[list[float] | None] = []
    for (place, group, _), own in zip(faces, chosen, strict=True):
        if own is not None and chosen.count(own) == 1:
            result.append(list(boxes[own].corners))
            continue
        result.append(None)
        if any(box.group == group for box in boxes):
            why = "two faces have the same box" if own is not None else "no box holds its landmarks"
            message = f"{why} (group faces and boxes): it takes the tight box of its landmarks"
            findings.append(Finding("warning", "box-absent", place, message))
    return result


def _choose(
    group: str | None, coordinates: Sequence[float], boxes: Sequence[ShapeBox]
) -> int | None:
    own = [number for number, box in enumerate(boxes) if box.group == group]
    if group is not None and len(own) == 1:
        return own[0]
    shares = {number: _share_within(coordinates, boxes[number]) for number in own}
    fitting = [number for number in own if shares[number] >= _LEAST_SHARE]
    return min(fitting, key=lambda each: (-shares[each], _area(boxes[each])), default=None)


def _share_within(coordinates: Sequence[float], box: ShapeBox) -> float:
    points = np.array(coordinates).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return 0.0
    low, high = np.array(box.corners[:2]), np.array(box.corners[2:])
    return float(((points >= low) & (points <= high)).all(axis=1).mean())


def _area(box: ShapeBox) -> float:
    return (box.corners[2] - box.corners[0]) * (box.corners[3] - box.corners[1])
