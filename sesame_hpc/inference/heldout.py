"""A run's faces as the landmarker sees them: from files or packs, by the run's box protocol."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config import DataConfig
from sesame_hpc.data import geometry
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.image_source import ImageSource
from sesame_hpc.data.loading.stored import as_stored
from sesame_hpc.data.windows import content_limits, face_boxes
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.inference.crop_model import CropModel
from sesame_hpc.inference.cropping import crop_image
from sesame_hpc.inference.images import decode_image

__all__ = ["Measured", "face_crops", "measure", "predict_faces"]

Crop = NDArray[np.float32]
Measured = tuple[np.ndarray, np.ndarray, Annotations]


def face_crops(
    faces: Annotations, data: DataConfig, size: int
) -> Iterator[tuple[int, Crop, NDArray[np.float64]]]:
    """Row, crop [3, size, size] and image-to-crop matrix [2, 3] of each face.

    An image that cannot be read is an error, or skipped if `data.on_error` is skip.
    """
    images = ImageSource(faces, data)
    boxes = face_boxes(faces, data.box.protocol)
    matrices = geometry.crop_matrix(boxes, size, scale=data.box.scale)
    limits = content_limits(boxes, data.box.scale, data.box.protocol)
    for row in range(len(faces)):
        try:
            _, encoded = images.read(np.array([row]), lambda row: ())
            if encoded:
                image = decode_image(encoded[0].tobytes(), faces.image_path(row))
        except ValueError as error:
            images.skip(row, error)
            continue
        if encoded:
            content = None if limits is None else limits[[row]]
            to_crop, content = as_stored(faces, np.array([row]), matrices[[row]], content)
            crop = crop_image(image, to_crop[0], size, None if content is None else content[0])
            yield row, crop, matrices[row]


def predict_faces(model: CropModel, faces: Annotations, data: DataConfig) -> Measured:
    """Points [N, K, 2] in pixels and spreads [N, K] of the faces that could be read, and these."""
    rows: list[int] = []
    matrices: list[NDArray[np.float64]] = []

    def crops() -> Iterator[Crop]:
        for row, crop, matrix in face_crops(faces, data, model.manifest.model.image_size):
            rows.append(row)
            matrices.append(matrix)
            yield crop

    points, spread = model.run(crops())
    to_image = geometry.invert(np.array(matrices).reshape(-1, 2, 3))
    pixels = geometry.apply(to_image, points * model.manifest.model.image_size)
    return pixels, spread, faces.select(np.array(rows, dtype=np.int64))


def measure(model: CropModel, faces: Annotations, data: DataConfig) -> Measured:
    """Spreads [N, K], errors [N, K] in percent of the normaliser, and the faces that were read.

    Errors are NaN where `point_errors` are.
    """
    points, spread, read = predict_faces(model, faces, data)
    return spread, 100 * point_errors(points, read.landmarks, read.scheme), read
