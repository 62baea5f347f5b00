"""Checks of numbers against each other: landmarks, boxes, crops, images, normalisers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config.schema import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding, Level
from sesame_hpc.data.geometry import square_windows
from sesame_hpc.data.windows import content_limits, face_boxes

__all__ = [
    "check_box_sizes",
    "check_boxes",
    "check_crops",
    "check_landmarks_in_images",
    "check_letterbox",
    "check_normalisers",
    "crop_floor",
]

_FEW_IN_BOX = 0.5
_HIGH_FLOOR = 1.0
_FAR_OUTSIDE = 0.25
_LARGE_BOX, _LARGER_THAN_OTHERS = 3.0, 2.5
_SHORT_NORMALISER, _SMALL_NORMALISER = 0.1, 4.0

Float = NDArray[np.float64]


def crop_floor(table: Annotations, box: BoxConfig) -> tuple[Float, NDArray[np.int64]]:
    """What no model can undo, as its output is confined to the crop.

    Returns for each face the NME in percent of its labelled points moved to the nearest place in
    the evaluation crop of `box` (Eqs. 3 and 4 of the paper), float64 [N], NaN where a point of the
    normaliser is not labelled, and how many lie outside of the crop, int64 [N].
    """
    boxes = face_boxes(table.boxes, table.landmarks, box.protocol)
    centres, sides = square_windows(boxes, box.scale)
    half = sides[:, None, None] / 2
    offsets = table.landmarks - centres[:, None]
    moved = np.linalg.norm(offsets - np.clip(offsets, -half, half), axis=-1)
    percent = 100 * np.nanmean(moved, axis=1) / _normalisers(table)
    return percent, (moved > 0).sum(axis=1)


def check_crops(inventory: Inventory) -> Iterator[Finding]:
    """Landmarks outside the crop that evaluation takes, and the error that this costs."""
    box = inventory.box
    for _, table in inventory.tables():
        floors, outside = crop_floor(table, box)
        for row in np.flatnonzero(outside):
            level: Level = "warning" if floors[row] >= _HIGH_FLOOR else "note"
            count = _landmarks(int(outside[row]))
            message = f"{count} outside the {box.protocol} crop of {box.scale:g} boxes"
            if value := _finite(floors[row]):
                message += f"; no model can come below {value:.3f} % NME here"
            yield Finding(level, "outside-crop", table.sources[row], message, value=value)


def check_letterbox(inventory: Inventory) -> Iterator[Finding]:
    """Landmarks within a letterbox crop where it is black: a model has to guess them."""
    box = inventory.box
    for _, table in inventory.tables():
        limits = content_limits(table.boxes, box.scale, box.protocol)
        if limits is None:
            continue
        shown = (table.landmarks >= limits[:, None, :2]) & (table.landmarks <= limits[:, None, 2:])
        hidden = ~shown.all(axis=2) & table.labelled
        black = hidden.sum(axis=1) - crop_floor(table, box)[1]
        for row in np.flatnonzero(black):
            message = f"{_landmarks(int(black[row]))} in the black beside the letterbox's image"
            value = float(black[row])
            yield Finding("note", "in-black", table.sources[row], message, value=value)


def check_landmarks_in_images(inventory: Inventory) -> Iterator[Finding]:
    """Landmarks beyond the image's edge, and how far."""
    for _, table in inventory.tables():
        for row, source in enumerate(table.sources):
            image = inventory.images.get(table.image_path(row))
            if image is None or image.size is None:
                continue
            points = table.landmarks[row]
            points = points[table.labelled[row]]
            beyond = np.maximum(np.maximum(-points, points - image.size), 0).max(axis=1)
            if not (farthest := float(beyond.max())):
                continue
            far = farthest > _FAR_OUTSIDE * np.ptp(points, axis=0).max()
            message = (
                f"{_landmarks(int((beyond > 0).sum()))} outside the image of "
                f"{image.size[0]} x {image.size[1]}, by up to {farthest:.1f} px"
            )
            level: Level = "warning" if far else "note"
            yield Finding(level, "outside-image", source, message, value=farthest)


def check_boxes(inventory: Inventory) -> Iterator[Finding]:
    """Boxes that hold few of their landmarks, or lie outside their image."""
    for _, table in inventory.tables():
        low, high = table.boxes[:, None, :2], table.boxes[:, None, 2:]
        inside = ((table.landmarks >= low) & (table.landmarks <= high)).all(axis=2).sum(axis=1)
        inside = inside / table.labelled.sum(axis=1)
        for row in np.flatnonzero(inside < _FEW_IN_BOX):
            level: Level = "warning" if inside[row] else "error"
            message = (
                f"the box {_numbers(table.boxes[row])} holds {100 * inside[row]:.0f} % of its "
                f"landmarks, which span {_numbers(_extent(table.landmarks[row]))}"
            )
            value = float(inside[row])
            yield Finding(level, "box-misses-face", table.sources[row], message, value=value)
        yield from _boxes_outside_images(inventory, table)


def check_box_sizes(inventory: Inventory) -> Iterator[Finding]:
    """Boxes several times as large as their landmarks, or reaching far beyond the image."""
    for _, table in inventory.tables():
        extents = np.array([_extent(landmarks) for landmarks in table.landmarks])
        spans = (extents[:, 2:] - extents[:, :2]).max(axis=1)
        sides = (table.boxes[:, 2:] - table.boxes[:, :2]).max(axis=1)
        ratios = sides / np.maximum(spans, 1e-9)
        usual = float(np.median(ratios))
        large = (ratios > _LARGE_BOX) & (ratios > _LARGER_THAN_OTHERS * min(usual, 1.5))
        whole = table.labelled.mean(axis=1) >= _FEW_IN_BOX
        for row in np.flatnonzero(large & whole).tolist():
            message = (
                f"the box {_numbers(table.boxes[row])} is {ratios[row]:.1f} times as large as its "
                f"landmarks, which span {_numbers(extents[row])}"
            )
            value = float(ratios[row])
            yield Finding("warning", "box-size", table.sources[row], message, value=value)
        for row, source in enumerate(table.sources):
            image = inventory.images.get(table.image_path(row))
            high = image.size if image is not None and image.size is not None else (np.inf, np.inf)
            box = table.boxes[row]
            beyond = float(max(-box[:2].min(), (box[2:] - high).max()))
            if beyond > _FAR_OUTSIDE * sides[row]:
                message = f"the box {_numbers(box)} reaches {beyond:.0f} px beyond the image"
                yield Finding("warning", "box-beyond-image", source, message, value=beyond)


def _boxes_outside_images(inventory: Inventory, table: Annotations) -> Iterator[Finding]:
    for row, source in enumerate(table.sources):
        image = inventory.images.get(table.image_path(row))
        if image is None or image.size is None:
            continue
        x_min, y_min, x_max, y_max = table.boxes[row]
        if x_max <= 0 or y_max <= 0 or x_min >= image.size[0] or y_min >= image.size[1]:
            message = (
                f"the box {_numbers(table.boxes[row])} lies outside the image of "
                f"{image.size[0]} x {image.size[1]}"
            )
            yield Finding("error", "box-outside-image", source, message)


def check_normalisers(inventory: Inventory) -> Iterator[Finding]:
    """Normalisers so short that a face weighs many times its share in the mean error."""
    first, second = inventory.scheme.normaliser
    for _, table in inventory.tables():
        distances = _normalisers(table)
        extents = (np.nanmax(table.landmarks, axis=1) - np.nanmin(table.landmarks, axis=1)).max(
            axis=1
        )
        shares = distances / extents
        for row in np.flatnonzero((shares < _SHORT_NORMALISER) | (distances < _SMALL_NORMALISER)):
            message = (
                f"points {first} and {second}, whose distance errors are divided by, are "
                f"{distances[row]:.2f} px apart on a face of {extents[row]:.0f} px"
            )
            level: Level = "warning" if shares[row] < _SHORT_NORMALISER else "note"
            value = float(distances[row])
            yield Finding(level, "short-normaliser", table.sources[row], message, value=value)


def _normalisers(table: Annotations) -> Float:
    first, second = table.scheme.normaliser
    return np.linalg.norm(table.landmarks[:, first] - table.landmarks[:, second], axis=-1)


def _landmarks(count: int) -> str:
    return f"{count} landmark{'s' * (count != 1)}"


def _extent(landmarks: Float) -> Float:
    return np.concatenate([np.nanmin(landmarks, axis=0), np.nanmax(landmarks, axis=0)])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: Float) -> str:
    return f"({', '.join(f'{value:.0f}' for value in values)})"
