"""Sixteen five-point faces of varied size, turn and place, for tests of checks and formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from format_files import add_image

from sesame_hpc.schemes import Scheme

FIVE = Scheme(
    name="five",
    points=("eye_l", "eye_r", "nose", "mouth_l", "mouth_r"),
    regions={"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)},
    mirror=(1, 0, 2, 4, 3),
    normaliser=(0, 1),
    edges=((3, 4),),
)
FACE = np.array([[-30, -25], [30, -25], [0, 5], [-20, 35], [20, 35]])
SIZE = (136, 120)
"""Width and height of the images."""


def points_of(count: int = 16, seed: int = 4) -> np.ndarray:
    """Corner-based pixels, float64 [count, 5, 2]."""
    rng = np.random.default_rng(seed)
    turns = np.exp(1j * rng.uniform(-0.3, 0.3, (count, 1))) * rng.uniform(0.6, 0.9, (count, 1))
    noise = rng.normal(0, 1.2, (count, 5)) + 1j * rng.normal(0, 1.2, (count, 5))
    placed = (FACE @ np.array([1, 1j]) + noise) * turns + rng.uniform(-4, 4, (count, 1)) + 68 + 60j
    return np.round(np.stack([placed.real, placed.imag], axis=2), 4)


def add_images(folder: Path, count: int = 16, size: tuple[int, int] = SIZE) -> list[str]:
    """Writes `count` different images of that width and height; returns their names."""
    names = [f"face_{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        add_image(folder, name, seed=number, size=size[::-1])
    return names


def boxes_of(points: np.ndarray) -> np.ndarray:
    """Loose boxes [N, 4] around points [N, K, 2]."""
    return np.concatenate([points.min(axis=1) - 12, points.max(axis=1) + 12], axis=1)


def coco_of(names: list[str], points: np.ndarray, with_boxes: bool = True) -> dict[str, Any]:
    """A COCO keypoint file of one face for each image."""
    low = points - 0.5
    boxes = boxes_of(points) - 0.5
    faces = []
    for row in range(len(names)):
        x, y, x_max, y_max = boxes[row].tolist()
        seen = np.concatenate([low[row], np.full((5, 1), 2)], axis=1).ravel().tolist()
        face = {"id": row, "image_id": row, "category_id": 1, "iscrowd": 0, "keypoints": seen}
        faces.append({**face, "bbox": [x, y, x_max - x, y_max - y]} if with_boxes else face)
    return {
        "images": [
            {"id": row, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
            for row, name in enumerate(names)
        ],
        "annotations": faces,
        "categories": [{"id": 1, "name": "face", "keypoints": list(FIVE.points)}],
    }


def write_coco(root: Path, content: dict[str, Any], path: str = "annotations/train.json") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(content))


def coco_set(root: Path) -> dict[str, Any]:
    """Images below `root/images` and the content of the file that labels them."""
    return coco_of(add_images(root / "images"), points_of())


def pts_text(points: np.ndarray) -> str:
    """A `.pts` file of corner-based points."""
    lines = "".join(f"{x:g} {y:g}\n" for x, y in points + 0.5)
    return f"version: 1\nn_points: {len(points)}\n{{\n{lines}}}\n"


def csv_text(names: list[str], points: np.ndarray) -> str:
    """A table without boxes."""
    header = ",".join(["image", *(f"{axis}{i}" for i in range(points.shape[1]) for axis in "xy")])
    rows = [
        ",".join([name, *map(str, own.ravel().tolist())])
        for name, own in zip(names, points, strict=True)
    ]
    return "\n".join([header, *rows]) + "\n"
