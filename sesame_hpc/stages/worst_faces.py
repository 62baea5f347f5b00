"""The held-out faces with the largest errors, on one sheet."""

from contextlib import suppress

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.viewing.draw import crop_square, draw_face
from sesame_hpc.data.viewing.face_image import face_image
from sesame_hpc.data.viewing.sheet import arrange, captioned
from sesame_hpc.evaluation.validation import Validation

__all__ = ["worst_faces"]

_FACES = 8
_COLUMNS = 4
_SIDE = 192
_MARGIN = 1.4


def worst_faces(validation: Validation) -> np.ndarray | None:
    """The eight faces of the highest NME, worst first, uint8 RGB [H, W, 3].

    Each is a column of two crops: with the predicted landmarks above, with the true ones below.
    None where no face has an NME, or none of those can be drawn.
    """
    nme = validation.face_nme
    order = np.argsort(-nme, kind="stable")[: min(_FACES, int((~np.isnan(nme)).sum()))]
    tiles = []
    for row in order:
        with suppress(ValueError):  # an image that has gone, a point at infinity
            crops = _face(validation.faces, row, validation.predicted[row])
            tiles.append(captioned(crops, [f"{nme[row]:.2f} %"]))
    return arrange(tiles, min(_COLUMNS, len(tiles))) if tiles else None


def _face(faces: Annotations, row: int, predicted: np.ndarray) -> np.ndarray:
    image, to_stored = face_image(faces, row)
    truth = apply(to_stored, faces.landmarks[row])
    low, high = np.nanmin(truth, axis=0), np.nanmax(truth, axis=0)
    crop, matrix = crop_square(image, (low + high) / 2, _MARGIN * float((high - low).max()), _SIDE)
    found = apply(matrix, apply(to_stored, predicted))
    both = (draw_face(crop, points, faces.scheme) for points in (found, apply(matrix, truth)))
    return np.concatenate(list(both))
