"""A run's held-out faces, and how a landmarker does on them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.pictures import read_picture
from sesame_hpc.stages.faces import Faces, read_faces
from sesame_hpc.stages.folder import RunFolder

__all__ = ["heldout_faces", "measure", "predict_faces", "run_faces"]

_IMAGES_AT_ONCE = 64


def run_faces(folder: RunFolder, data: Path | None = None) -> Faces:
    """The faces of a run: from `data` if given, else from where the run had them.

    A relative root is also tried from the directory in which the run was started.
    Raises FileNotFoundError or ValueError where they cannot be read.
    """
    config = folder.config()
    root = data or config.data.root
    if data is None and not root.is_dir() and (start := folder.start_directory()):
        root = start / root
    config = config.model_copy(update={"data": config.data.model_copy(update={"root": root})})
    return read_faces(config, folder)


def heldout_faces(folder: RunFolder, data: Path | None = None) -> Annotations:
    """The held-out part of `run_faces`."""
    return run_faces(folder, data).heldout


def measure(landmarker: Landmarker, faces: Annotations) -> tuple[np.ndarray, np.ndarray]:
    """Spreads [N, K], and errors [N, K] in percent of the normaliser."""
    points, spread = predict_faces(landmarker, faces)
    return spread, 100 * point_errors(points, faces.landmarks, faces.scheme)


def predict_faces(landmarker: Landmarker, faces: Annotations) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, K, 2] in pixels and spreads [N, K] of annotated faces, in their order."""
    count, landmarks = len(faces), faces.scheme.num_landmarks
    points, spread = np.empty((count, landmarks, 2)), np.empty((count, landmarks))
    for rows in _by_image(faces):
        images = [read_picture(faces.image_path(some[0])) for some in rows]
        found = landmarker(images, [faces.boxes[some] for some in rows])
        order = np.concatenate(rows)
        points[order], spread[order] = found.points, found.spread
    return points, spread


def _by_image(faces: Annotations) -> Iterator[list[np.ndarray]]:
    """The rows of each image, some images at a time."""
    rows_of: dict[str, list[int]] = {}
    for row, image in enumerate(faces.images):
        rows_of.setdefault(image, []).append(row)
    rows = [np.array(some) for some in rows_of.values()]
    for first in range(0, len(rows), _IMAGES_AT_ONCE):
        yield rows[first : first + _IMAGES_AT_ONCE]
