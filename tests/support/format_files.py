"""A scheme of three points and small files of faces in each format, for the tests of formats."""

from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.schemes import Scheme

TRIO = Scheme(
    name="trio",
    points=("left", "right", "chin"),
    regions={"eyes": (0, 1), "jaw": (2,)},
    mirror=(1, 0, 2),
    normaliser=(0, 1),
    edges=((0, 1),),
)
CSV_HEADER = "image,x_min,y_min,x_max,y_max,x0,y0,x1,y1,x2,y2,attribute_blur"
CSV_ROW = "one.png,10,12,54,60,20.5,30,44,30,32,50,1"


def add_image(folder: Path, name: str, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Path:
    """An image of blurred noise that is similar at any scale; it depends on the seed."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))
    return path
