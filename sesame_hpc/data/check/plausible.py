"""Checks of whole parts: units, box conventions, stated image sizes, numbers for missing points."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding, Level
from sesame_hpc.data.windows import face_boxes

__all__ = ["check_box_conventions", "check_sentinels", "check_stated_sizes", "check_units"]

Float = NDArray[np.float64]
Place = tuple[float, float]

_MOST = 0.8
"""What holds for this share of the faces is taken to be how all were made."""

_FRACTION, _PERCENT = 1.5, 100.5
_PERCENT_NEEDS_SIDE, _PERCENT_NEEDS_FACES = 200, 3
_NEAR_CORNER, _FEWEST_ALIKE, _COINCIDENT, _MOST_PLACES = 1.6, 2, 3, 20
_OFF_CENTRE, _NEARER = 0.06, 0.6
_USUAL_SENTINELS = ((0.0, 0.0), (-1.0, -1.0))
_SAME_RATIO, _ROUNDING = 0.03, 1


def check_units(inventory: Inventory) -> Iterator[Finding]:
    """Coordinates that are fractions of the image's size or percent instead of pixels."""
    for split, table in inventory.tables():
        farthest = _farthest(table)
        if farthest <= _FRACTION:
            unit = "fractions of the image's size (0 to 1)"
        elif farthest <= _PERCENT and _all_large(inventory, table):
            unit = "percent of the image's size (0 to 100)"
        else:
            continue
        message = (
            f"{split}: no coordinate of {len(table)} faces is above {farthest:.4g}: they look like "
            f"{unit}, and pixels are needed"
        )
        yield Finding("error", "units", table.sources[0], message, value=farthest)


def _all_large(inventory: Inventory, table: Annotations) -> bool:
    images = (inventory.images.get(table.image_path(row)) for row in range(len(table)))
    sides = [min(image.size) for image in images if image is not None and image.size is not None]
    enough = len(sides) >= _PERCENT_NEEDS_FACES and len(table) >= _PERCENT_NEEDS_FACES
    return enough and float(np.median(sides)) >= _PERCENT_NEEDS_SIDE


def check_sentinels(inventory: Inventory) -> Iterator[Finding]:
    """Points that several faces have at one place, at the image's first corner or beyond.

    Also three or more points of a face at exactly one place.
    """
    for split, parsed in inventory.parts.items():
        table, shift = parsed.faces, parsed.shift
        if not len(table):
            continue
        for x, y in _suspicious_places(table, shift):
            same = np.zeros(len(table), np.int64)
            for block, points in table.blocks():
                same[block] = (_written(points, shift) == (x, y)).all(axis=2).sum(axis=1)
            rows = np.flatnonzero(same)
            message = (
                f"{split}: {_points(int(same.sum()), len(rows))} at exactly ({x:g}, {y:g}); "
                f"if that stands for points that are not labelled, say --missing={x:g},{y:g} "
                f"(data.missing=[{x:g},{y:g}])"
            )
            related = tuple(table.sources[row] for row in rows[1:])
            place, value = table.sources[rows[0]], float(same.sum())
            yield Finding("error", "sentinel", place, message, related, value)


def _points(count: int, faces: int) -> str:
    if count == 1:
        return "1 point is"
    return f"{count} points of {faces} face{'s' * (faces > 1)} are"


def _written(points: Float, shift: float) -> Float:
    """Points as the file has them."""
    return np.round(points - shift, 9)


def _suspicious_places(table: Annotations, shift: float) -> list[tuple[float, float]]:
    """Places with several points that are at the first corner or beyond it, or of one face."""
    near, beyond = Counter[Place](), Counter[Place]()
    coincident: dict[Place, None] = {}
    for _, points in table.blocks():
        written = _written(points, shift)
        at_corner = (np.abs(written) <= _NEAR_CORNER).all(axis=2)
        near.update(map(tuple, written[at_corner].tolist()))
        far = np.isfinite(written).all(axis=2) & (written.max(axis=2) < -_NEAR_CORNER)
        beyond.update(map(tuple, written[far].tolist()))
        for row in np.flatnonzero(_have_coincident(written)):
            place, count = Counter(map(tuple, written[row].tolist())).most_common(1)[0]
            if count >= _COINCIDENT and np.isfinite(place).all():
                coincident[place] = None
    corner = [] if _is_fraction(table) else [*_several(near), *_several(beyond)]
    return list(dict.fromkeys([*corner, *coincident]))[:_MOST_PLACES]


def _several(places: Counter[Place]) -> list[Place]:
    return [
        place
        for place, count in places.most_common()
        if count >= _FEWEST_ALIKE or place in _USUAL_SENTINELS
    ]


def _have_coincident(points: Float) -> NDArray[np.bool_]:
    """Which faces [N] have that many points [N, K, 2] at one place."""
    if points.shape[1] < _COINCIDENT:
        return np.zeros(len(points), np.bool_)
    ordered = np.sort(points @ np.array([1, 1j]), axis=1)
    return np.asarray((ordered[:, _COINCIDENT - 1 :] == ordered[:, : 1 - _COINCIDENT]).any(axis=1))


def _is_fraction(table: Annotations) -> bool:
    return _farthest(table) <= _FRACTION


def _farthest(table: Annotations) -> float:
    return max(float(np.nanmax(np.abs(points))) for _, points in table.blocks())


def check_box_conventions(inventory: Inventory) -> Iterator[Finding]:
    """Boxes that fit their landmarks far better when their numbers are read the other way.

    Corners read as width and height make boxes too large to the right and below: faces are far to
    the left in all of them. Width and height read as a corner hold few landmarks.
    """
    for split, table in inventory.tables():
        tight = face_boxes(table, "landmarks")
        boxes = table.boxes
        corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        extents = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        given = _off_centre(boxes, tight)
        words = ""
        if given > _OFF_CENTRE and _off_centre(corners, tight) < _NEARER * given:
            if _holding(corners, tight) >= _MOST:
                words = "x_min, y_min, x_max, y_max stand where x, y, width, height are meant"
        elif (
            _holding(boxes, tight) < 1 - _MOST
            and _holding(extents, tight) >= _MOST
            and _overlap(extents, tight) > _overlap(boxes, tight)
        ):
            words = "x, y, width, height stand where x_min, y_min, x_max, y_max are meant"
        if words:
            message = f"{split}: the boxes of {len(table)} faces fit their landmarks far better if "
            message += words
            yield Finding("error", "box-convention", table.sources[0], message)


def _holding(boxes: Float, tight: Float) -> float:
    """The share of boxes that hold all landmarks."""
    held = (boxes[:, :2] <= tight[:, :2] + 1).all(axis=1)
    return float((held & (boxes[:, 2:] >= tight[:, 2:] - 1).all(axis=1)).mean())


def _overlap(boxes: Float, tight: Float) -> float:
    """The usual intersection over union of boxes and landmarks' tight boxes."""
    low, high = np.maximum(boxes[:, :2], tight[:, :2]), np.minimum(boxes[:, 2:], tight[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    areas += np.prod(tight[:, 2:] - tight[:, :2], axis=1)
    return float(np.median(shared / np.maximum(areas - shared, 1e-9)))


def _off_centre(boxes: Float, tight: Float) -> float:
    """How far landmarks are usually from the middle of their box from left to right, in widths."""
    widths = np.maximum(boxes[:, 2] - boxes[:, 0], 1e-9)
    centres, own = boxes[:, 0] + boxes[:, 2], tight[:, 0] + tight[:, 2]
    return float(np.median(np.abs(own - centres) / 2 / widths))


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
            f"{split}: {len(found)} faces are on images of another size than stated: "
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
