"""dlib's shape predictor: a cascade of regression trees (Kazemi and Sullivan, CVPR 2014)."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.judged import RESIZE, SHIFT, Find, Image, read_image
from sesame_hpc.data.annotations import Annotations

__all__ = ["dlib_finder", "train_dlib"]

Box = NDArray[np.float64]

_BOXES_PER_FACE = 2


def _dlib() -> ModuleType:
    try:
        import dlib
    except ImportError:
        raise ValueError("dlib is not installed: pip install dlib-bin") from None
    return dlib


def train_dlib(
    faces: Annotations, path: Path, *, cascades: int, threads: int, seed: int, oversampling: int = 6
) -> None:
    """Train on the faces and their mirror images, two jittered boxes each, and write `path`.

    Its best settings of those that were tried: 15 cascades of 500 trees of depth 4, nu 0.1, 400
    features. The time is in proportion to `oversampling`: for 1,809 faces, 6 takes a quarter of an
    hour.
    """
    dlib = _dlib()
    random = np.random.default_rng(seed)
    mirror = list(faces.scheme.mirror)
    images, labelled = [], []
    for row in range(len(faces)):
        image, box, points = (
            read_image(faces.image_path(row)),
            faces.boxes[row],
            faces.landmarks[row],
        )
        width = image.shape[1]
        flipped = np.stack([width - points[:, 0], points[:, 1]], axis=1)[mirror]
        other = np.array([width - box[2], box[1], width - box[0], box[3]])
        mirrored = np.ascontiguousarray(image[:, ::-1])
        for each, its_box, its_points in ((image, box, points), (mirrored, other, flipped)):
            parts = [dlib.point(round(x - 0.5), round(y - 0.5)) for x, y in its_points.tolist()]
            images.append(each)
            labelled.append(
                [
                    dlib.full_object_detection(_rectangle(dlib, _jittered(its_box, random)), parts)
                    for _ in range(_BOXES_PER_FACE)
                ]
            )
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level = cascades, 500
    options.tree_depth, options.nu, options.feature_pool_size = 4, 0.1, 400
    options.oversampling_amount, options.num_threads = oversampling, threads
    options.random_seed = str(seed)
    dlib.train_shape_predictor(images, labelled, options).save(str(path))


def dlib_finder(path: Path) -> Find:
    dlib = _dlib()
    predictor = dlib.shape_predictor(str(path))

    def find(image: Image, box: Box) -> NDArray[np.float64]:
        found = predictor(image, _rectangle(dlib, box))
        return np.array([[part.x + 0.5, part.y + 0.5] for part in found.parts()])

    return find


def _rectangle(dlib: ModuleType, box: Box) -> Any:
    left, top, right, bottom = np.rint(box).astype(int).tolist()
    return dlib.rectangle(left, top, right - 1, bottom - 1)


def _jittered(box: Box, random: np.random.Generator) -> Box:
    low, high = box[:2], box[2:]
    centre = (low + high) / 2 + random.uniform(-SHIFT, SHIFT, 2) * (high - low).max()
    half = (high - low) / 2 * (1 + random.uniform(-RESIZE, RESIZE))
    return np.concatenate([centre - half, centre + half])
