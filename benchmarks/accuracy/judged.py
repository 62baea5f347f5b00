"""One way to judge any method: the same held-out faces, under three kinds of boxes.

Tight boxes are the annotated ones, jittered ones are moved by up to 5 % and resized by up to 10 %,
and those of YuNet are what a user has; faces that it does not find are left out for all methods.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config import Config, find_config, load_config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.inference.detector import YuNet
from sesame_hpc.run.faces import Faces, read_faces
from sesame_hpc.run.folder import RunFolder

__all__ = ["BOXES", "Figures", "Find", "Image", "Points", "benchmark_faces", "judge", "read_image"]

BOXES = ("tight", "jittered", "yunet")
_LEAST_OVERLAP = 0.3
SHIFT, RESIZE = 0.05, 0.10

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
Find = Callable[[Image, NDArray[np.float64]], Points]
"""An image uint8 [H, W, 3] RGB and a box [4] -> landmarks [K, 2], both corner-based pixels."""


@dataclass(frozen=True)
class Figures:
    """NME in percent of the outer eye corners' distance: of all faces, outline, the rest; FR10."""

    nme: float
    outline: float
    others: float
    fr10: float


def benchmark_faces(preset: str, data: Path, overrides: Sequence[str]) -> tuple[Config, Faces]:
    """The faces as `sesame train PRESET data.root=DATA` divides them."""
    config = load_config(find_config(preset), [f"data.root={data}", *overrides])
    return config, read_faces(config, RunFolder(data / "no run"))


def read_image(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{path}: the image cannot be decoded")
    return np.asarray(image, np.uint8)


def boxes_of(faces: Annotations, kind: str, seed: int = 0) -> NDArray[np.float64]:
    """[N, 4]; NaN where YuNet finds no face that overlaps with the annotated box."""
    if kind == "tight":
        return faces.boxes
    if kind == "yunet":
        detector = YuNet(None)
        images = (read_image(faces.image_path(row)) for row in range(len(faces)))
        found = [
            _nearest(detector(image), box) for image, box in zip(images, faces.boxes, strict=True)
        ]
        return np.array(found)
    random = np.random.default_rng(seed)
    low, high = faces.boxes[:, :2], faces.boxes[:, 2:]
    longer = (high - low).max(axis=1, keepdims=True)
    centres = (low + high) / 2 + random.uniform(-SHIFT, SHIFT, (len(faces), 2)) * longer
    half = (high - low) / 2 * (1 + random.uniform(-RESIZE, RESIZE, (len(faces), 1)))
    return np.concatenate([centres - half, centres + half], axis=1)


def _nearest(boxes: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The box of the largest intersection over union; NaN where it is small."""
    low = np.maximum(boxes[:, :2], wanted[:2])
    common = np.prod(np.clip(np.minimum(boxes[:, 2:], wanted[2:]) - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(wanted[2:] - wanted[:2])
    overlaps = common / (areas - common)
    if not len(boxes) or overlaps.max() < _LEAST_OVERLAP:
        return np.full(4, np.nan)
    return np.asarray(boxes[overlaps.argmax()], np.float64)


def judge(find: Find, faces: Annotations, flip: bool) -> dict[str, Figures]:
    """{kind of boxes: figures}; with `flip` averaged with the mirrored image's landmarks.

    Without YuNet's weights its boxes are left out.
    """
    judged = {}
    for kind in BOXES:
        try:
            boxes = boxes_of(faces, kind)
        except FileNotFoundError as error:
            print(f"no boxes of YuNet: {error}", file=sys.stderr)
            continue
        known = np.isfinite(boxes).all(axis=1)
        judged[kind] = _figures(find, faces.select(np.flatnonzero(known)), boxes[known], flip)
    return judged


def _figures(find: Find, faces: Annotations, boxes: NDArray[np.float64], flip: bool) -> Figures:
    mirror = list(faces.scheme.mirror)
    found = []
    for row, box in enumerate(boxes):
        image = read_image(faces.image_path(row))
        points = find(image, box)
        if flip:
            width = image.shape[1]
            other = np.array([width - box[2], box[1], width - box[0], box[3]])
            mirrored = find(np.ascontiguousarray(image[:, ::-1]), other)[mirror]
            points = (points + np.stack([width - mirrored[:, 0], mirrored[:, 1]], axis=1)) / 2
        found.append(points)
    errors = 100 * point_errors(np.array(found), faces.landmarks, faces.scheme)
    outline = list(faces.scheme.regions["outline"])
    rest = [point for point in range(errors.shape[1]) if point not in outline]
    return Figures(
        nme=float(errors.mean()),
        outline=float(errors[:, outline].mean()),
        others=float(errors[:, rest].mean()),
        fr10=float(100 * (errors.mean(axis=1) > 10).mean()),
    )
