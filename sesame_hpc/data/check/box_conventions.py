"""The check for boxes whose numbers mean something else than x_min, y_min, x_max, y_max."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding

__all__ = ["check_box_conventions", "check_odd_boxes"]

Float = NDArray[np.float64]

_MOST = 0.8
"""What holds for this share of the faces is taken to be how all were made."""

_OFF_CENTRE, _NEARER = 0.06, 0.6
_FEWEST, _LEAST_SPREAD, _LESS_SPREAD = 8, 0.04, 0.5
_LEAST_MISFIT, _LESS_MISFIT, _LEAST_Z = 0.02, 0.75, 3.0
_GOOD_OVERLAP, _BETTER_OVERLAP = 0.6, 2.0
_FEWEST_ALIKE, _LEAST_SCATTER, _ODD, _LEAST_ODD = 16, 0.03, 10.0, 0.25

_CORNERS = "x_min, y_min, x_max, y_max stand where x, y, width, height are meant"
_EXTENTS = "x, y, width, height stand where x_min, y_min, x_max, y_max are meant"
_MIDDLES = "the middle of the box stands where its first corner is meant"
_Y_FIRST = "y stands before x"
_HEIGHT_FIRST = "height stands before width"


def check_box_conventions(inventory: Inventory) -> Iterator[Finding]:
    """Boxes that fit their landmarks far better when their numbers are read another way.

    Of all faces of a part; else of single ones that are written in another way than the others.
    """
    for split, table in inventory.tables():
        tight = _tight(table)
        words = _meant_by_all(table, tight, inventory.sizes(table))
        if words:
            message = f"{split}: the boxes of {len(table)} faces fit their landmarks far better if "
            yield Finding("error", "box-convention", table.sources[0], f"{message}{words}")
            continue
        for row, single in _meant_by_single(table.boxes, tight):
            message = f"the box fits its landmarks far better if {single}"
            yield Finding("error", "box-convention", table.sources[row], message)


def _meant_by_all(table: Annotations, tight: Float, sizes: Float) -> str:
    """In words, how all boxes were to be read; "" as they are."""
    boxes = table.boxes
    readings = _other_readings(boxes, sizes)
    spreads = {words: _spread(each, tight) for words, each in readings.items()}
    own, alikest = _spread(boxes, tight), min(spreads, key=lambda words: spreads[words])
    if (
        len(boxes) >= _FEWEST
        and own > _LEAST_SPREAD
        and spreads[alikest] < _LESS_SPREAD * own
        and _holding(readings[alikest], tight) >= _MOST
    ):
        return alikest
    # Corners read as width and height make boxes too large to the right and below: faces are far
    # to the left in all of them. Width and height read as a corner, and a middle read as a corner,
    # hold few landmarks.
    given = _off_centre(boxes, tight)
    if (
        given > _OFF_CENTRE
        and _off_centre(readings[_CORNERS], tight) < _NEARER * given
        and _holding(readings[_CORNERS], tight) >= _MOST
        and spreads[_CORNERS] <= own
    ):
        return _CORNERS
    for words in (_EXTENTS, _MIDDLES):
        if (
            _holding(boxes, tight) < 1 - _MOST
            and _holding(readings[words], tight) >= _MOST
            and _overlap(readings[words], tight) > _overlap(boxes, tight)
            and spreads[words] <= own
        ):
            return words
    return _meant_by_shape(boxes, tight)


def _meant_by_shape(boxes: Float, tight: Float) -> str:
    """Which numbers of all boxes were exchanged, in words, by what is higher than it is wide.

    In the middle of square images, boxes are nearly where they should be also with y before x;
    their shape tells. A reading counts if it fits most faces better, and so many that it cannot be
    by chance.
    """
    if len(boxes) < _FEWEST:
        return ""
    exchanged = boxes[:, [1, 0, 3, 2]]
    readings = {
        _Y_FIRST: exchanged,
        _HEIGHT_FIRST: _turned(boxes),
        "y stands before x, and width before height": _turned(exchanged),
    }
    own = _misfit(boxes, tight)
    misfits = {words: _misfit(each, tight) for words, each in readings.items()}
    best = min(misfits, key=lambda words: _usual(misfits[words]))
    better = float((misfits[best].sum(axis=1) < own.sum(axis=1)).mean())
    if (
        _usual(own) > _LEAST_MISFIT
        and _usual(misfits[best]) < _LESS_MISFIT * _usual(own)
        and (better - 0.5) * 2 * np.sqrt(len(boxes)) >= _LEAST_Z
        and _overlap(readings[best], tight) > _overlap(boxes, tight)
    ):
        return best
    return ""


def _turned(boxes: Float) -> Float:
    """With width and height exchanged, from the same corner."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2])[:, ::-1]], 1)


def _misfit(boxes: Float, tight: Float) -> Float:
    """How far each box is from sitting around its landmarks as the set's boxes usually do [N, 4]:
    in place, in sizes of the face, and in the logarithms of width and height."""
    extents, own = boxes[:, 2:] - boxes[:, :2], tight[:, 2:] - tight[:, :2]
    ratios = np.log(np.maximum(extents, 1e-9) / np.maximum(own, 1e-9))
    sits = np.concatenate([_sits(boxes, tight)[:, :2], ratios], axis=1)
    return np.asarray(np.abs(sits - np.median(sits, axis=0)))


def _usual(misfits: Float) -> float:
    return float(np.median(misfits, axis=0).sum())


def _other_readings(boxes: Float, sizes: Float) -> dict[str, Float]:
    """The boxes under other meanings of their numbers, by what these are in words."""
    centres, whole = boxes[:, :2], np.concatenate([sizes, sizes], axis=1)
    half, extents = boxes[:, 2:] / 2, boxes[:, 2:] - boxes[:, :2]
    below = np.stack(
        [boxes[:, 0], sizes[:, 1] - boxes[:, 3], boxes[:, 2], sizes[:, 1] - boxes[:, 1]], axis=1
    )
    return {
        _CORNERS: _corners_for_extents(boxes),
        _EXTENTS: _extents_for_corners(boxes),
        _MIDDLES: boxes - np.concatenate([extents, extents], axis=1) / 2,
        "they are centre and size": np.concatenate([centres - half, centres + half], axis=1),
        _Y_FIRST: boxes[:, [1, 0, 3, 2]],
        "y counts from below": below,
        "they are fractions of the image's size": boxes * whole,
        "they are percent of the image's size": boxes * whole / 100,
        "they are of an image of half the size": boxes * 2,
        "they are of an image of twice the size": boxes / 2,
        "they are those of the row before": np.roll(boxes, 1, axis=0),
        "they are those of the row behind": np.roll(boxes, -1, axis=0),
    }


def _corners_for_extents(boxes: Float) -> Float:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _extents_for_corners(boxes: Float) -> Float:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _meant_by_single(boxes: Float, tight: Float) -> Iterator[tuple[int, str]]:
    """Rows, and in words how their boxes were to be read, where one can be sure of single ones."""
    given = _overlaps(boxes, tight)
    for words, other in (
        (_CORNERS, _corners_for_extents(boxes)),
        (_EXTENTS, _extents_for_corners(boxes)),
    ):
        overlaps = _overlaps(other, tight)
        sure = (overlaps >= _GOOD_OVERLAP) & (overlaps >= _BETTER_OVERLAP * given)
        for row in np.flatnonzero(sure).tolist():
            yield row, words


def check_odd_boxes(inventory: Inventory) -> Iterator[Finding]:
    """Boxes of another size against their landmarks, or elsewhere, than those of other faces."""
    for _, table in inventory.tables():
        complete = np.flatnonzero(table.labelled.all(axis=1))
        if len(complete) < _FEWEST_ALIKE:
            continue
        sits = _sits(table.boxes[complete], _tight(table)[complete])
        usual = np.median(sits, axis=0)
        off = np.abs(sits - usual)
        scatter = np.maximum(1.5 * np.median(off, axis=0), _LEAST_SCATTER)
        odd = ((off > _ODD * scatter) & (off > _LEAST_ODD)).any(axis=1)
        for place in np.flatnonzero(odd).tolist():
            row, times = int(complete[place]), float(np.exp(sits[place, 2] - usual[2]))
            box = ", ".join(f"{value:.0f}" for value in table.boxes[row])
            message = (
                f"the box ({box}) lies unlike those of other faces around its landmarks: "
                f"{times:.2g} times as large as usual, and {off[place, :2].max():.2f} face sizes "
                "off its usual place"
            )
            value = float((off[place] / scatter).max())
            yield Finding("warning", "odd-box", table.sources[row], message, value=value)


def _tight(table: Annotations) -> Float:
    low, high = np.nanmin(table.landmarks, axis=1), np.nanmax(table.landmarks, axis=1)
    return np.concatenate([low, high], axis=1)


def _sits(boxes: Float, tight: Float) -> Float:
    """How boxes sit around their landmarks [N, 3]: x and y from their middle to that of the box,
    in sizes of the face, and the logarithm of the sizes' ratio."""
    spans = np.maximum((tight[:, 2:] - tight[:, :2]).max(axis=1, keepdims=True), 1e-9)
    sides = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True), 1e-9)
    middles = (boxes[:, :2] + boxes[:, 2:] - tight[:, :2] - tight[:, 2:]) / 2
    return np.concatenate([middles / spans, np.log(sides / spans)], axis=1)


def _spread(boxes: Float, tight: Float) -> float:
    """How unlike each other boxes sit around their landmarks; infinite for no boxes at all."""
    if not np.isfinite(boxes).all():
        return float("inf")
    sits = _sits(boxes, tight)
    return float(np.median(np.abs(sits - np.median(sits, axis=0)), axis=0).sum())


def _holding(boxes: Float, tight: Float) -> float:
    """The share of boxes that hold all landmarks."""
    held = (boxes[:, :2] <= tight[:, :2] + 1).all(axis=1)
    return float((held & (boxes[:, 2:] >= tight[:, 2:] - 1).all(axis=1)).mean())


def _overlaps(boxes: Float, tight: Float) -> Float:
    """Intersection over union of boxes and landmarks' tight boxes [N]."""
    low, high = np.maximum(boxes[:, :2], tight[:, :2]), np.minimum(boxes[:, 2:], tight[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    areas += np.prod(tight[:, 2:] - tight[:, :2], axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


def _overlap(boxes: Float, tight: Float) -> float:
    """The usual intersection over union."""
    return float(np.median(_overlaps(boxes, tight)))


def _off_centre(boxes: Float, tight: Float) -> float:
    """How far landmarks are usually from the middle of their box from left to right, in widths."""
    widths = np.maximum(boxes[:, 2] - boxes[:, 0], 1e-9)
    centres, own = boxes[:, 0] + boxes[:, 2], tight[:, 0] + tight[:, 2]
    return float(np.median(np.abs(own - centres) / 2 / widths))
