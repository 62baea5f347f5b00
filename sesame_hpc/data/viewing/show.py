"""A contact sheet of annotated faces: crops with landmarks, box and caption, as one PNG."""

from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.viewing.draw import crop_square, draw_box, draw_face
from sesame_hpc.data.viewing.face_image import face_image
from sesame_hpc.data.viewing.sheet import arrange, captioned, write_png

__all__ = ["contact_sheet"]

_MARGIN = 1.2
_SUPERSAMPLING = 2


def contact_sheet(
    annotations: Annotations, out: Path, rows: int = 4, columns: int = 6, size: int = 256
) -> Path:
    """Draw the first rows x columns faces in their order and write the PNG `out`.

    Each crop of `size` pixels shows the face's landmarks and box; its caption has the sample id,
    the image name and the attributes that are set. Returns `out`.

    Raises:
        ValueError: no face, a count or size that is too small, or an undecodable image (named with
            its annotation line).
    """
    if not len(annotations):
        raise ValueError("nothing to draw: the annotations have no face")
    if rows < 1 or columns < 1 or size < 64:
        raise ValueError(
            f"sheet of {rows} rows x {columns} columns of {size} pixels; "
            "takes at least 1 x 1 of 64 pixels"
        )
    columns = min(columns, len(annotations))
    tiles = [_tile(annotations, row, size) for row in range(min(rows * columns, len(annotations)))]
    write_png(arrange(tiles, columns), out)
    return out


def _tile(annotations: Annotations, row: int, size: int) -> np.ndarray:
    image, to_stored = face_image(annotations, row)
    landmarks = apply(to_stored, annotations.landmarks[row])
    box = apply(to_stored, annotations.boxes[row].reshape(2, 2)).reshape(4)
    low = np.minimum(box[:2], np.nanmin(landmarks, axis=0))
    high = np.maximum(box[2:], np.nanmax(landmarks, axis=0))
    side = _MARGIN * float((high - low).max())
    crop, matrix = crop_square(image, (low + high) / 2, side, size * _SUPERSAMPLING)
    crop = draw_box(crop, apply(matrix, box.reshape(2, 2)).reshape(4))
    crop = draw_face(crop, apply(matrix, landmarks), annotations.scheme)
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return captioned(crop, _caption(annotations, row))


def _caption(annotations: Annotations, row: int) -> list[str]:
    set_names = np.array(annotations.attribute_names)[annotations.attributes[row]]
    name = Path(annotations.images[row]).stem
    return [f"#{annotations.sample_ids[row]} {name}", ", ".join(set_names)]
