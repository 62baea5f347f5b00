"""Small rendered images with known points, as annotation tables."""

from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.schemes import Scheme

FOUR_POINTS = Scheme(
    name="four",
    points=("eye_image_left", "eye_image_right", "mouth_image_left", "mouth_image_right"),
    regions={"eyes": (0, 1), "mouth": (2, 3)},
    mirror=(1, 0, 3, 2),
    normaliser=(0, 1),
    edges=(),
)
BRIGHTNESSES = np.array([180, 205, 230, 255])
DOT_SIGMA = 0.035


def table(root: Path, images: list[str], boxes: np.ndarray, landmarks: np.ndarray) -> Annotations:
    faces = len(images)
    return Annotations(
        scheme=FOUR_POINTS,
        root=root,
        images=tuple(images),
        boxes=np.asarray(boxes, dtype=np.float64),
        landmarks=np.asarray(landmarks, dtype=np.float64),
        attributes=np.zeros((faces, 0), dtype=bool),
        attribute_names=(),
        sources=tuple(f"faces.txt:{i + 1}" for i in range(faces)),
        sample_ids=np.arange(faces) * 3 + 10,
    )


def dots(root: Path, faces: int, side: float) -> Annotations:
    """Four Gaussian dots of known brightness at sub-pixel places, the box `side` pixels wide.

    Neighbouring dots are at least 7 sigma apart.
    """
    rng = np.random.default_rng(7)
    height, width = int(2.2 * side), int(2.6 * side)
    centres = np.array([width, height]) / 2 + rng.uniform(-0.1, 0.1, (faces, 2)) * side
    corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * 0.17 * side
    landmarks = centres[:, None] + corners + rng.uniform(-0.04, 0.04, (faces, 4, 2)) * side
    y, x = np.mgrid[:height, :width] + 0.5
    names = []
    for face in range(faces):
        image = np.zeros((height, width))
        for (px, py), brightness in zip(landmarks[face], BRIGHTNESSES, strict=True):
            r2 = (x - px) ** 2 + (y - py) ** 2
            image += brightness * np.exp(-r2 / (2 * (DOT_SIGMA * side) ** 2))
        names.append(f"dots{face}.png")
        save(root / names[-1], np.repeat(np.rint(image)[..., None], 3, axis=2))
    boxes = np.concatenate([centres - side / 2, centres + side / 2], axis=1)
    return table(root, names, boxes, landmarks)


def textures(root: Path, faces: int) -> Annotations:
    """Coloured textures, alternately JPEG and PNG, with random boxes and points."""
    rng = np.random.default_rng(11)
    names = []
    for face in range(faces):
        coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
        names.append(f"texture{face}.{'jpg' if face % 2 else 'png'}")
        save(root / names[-1], cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC))
    low = rng.uniform(10, 40, (faces, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 50, (faces, 2))], axis=1)
    return table(root, names, boxes, rng.uniform(10, 80, (faces, 4, 2)))


def plain(root: Path, rgb: tuple[int, int, int]) -> Annotations:
    """One image of one colour, far larger than the window around its box."""
    save(root / "plain.png", np.broadcast_to(np.array(rgb), (200, 200, 3)))
    return table(root, ["plain.png"], np.array([[85, 85, 115, 115]]), np.full((1, 4, 2), 100))


def save(path: Path, rgb: np.ndarray) -> None:
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]).astype(np.uint8))
