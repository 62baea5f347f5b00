"""The pixels of one face's image, from its file or from a pack."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations

__all__ = ["face_image", "read_rgb"]

_WHOLE = np.eye(3)[:2]


def face_image(annotations: Annotations, row: int) -> tuple[NDArray[np.uint8], NDArray]:
    """A face's image as stored, and the transform from the whole image.

    Returns uint8 RGB [H, W, 3], and the float64 matrix [2, 3] from pixels of the whole image to
    those of the returned one, which differ if a pack stores a crop.

    Raises:
        ValueError: the image is missing or cannot be decoded; names the annotation line.
    """
    pack = annotations.pack
    try:
        if pack is None:
            return read_rgb(annotations.image_path(row)), _WHOLE
        sample_id = int(annotations.sample_ids[row])
        image = _decode(pack.encoded(sample_id), f"{annotations.root}, sample {sample_id}")
    except ValueError as error:
        raise ValueError(f"{annotations.sources[row]}: {error}") from error
    return image, pack.matrices(annotations.sample_ids[[row]])[0]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """An image file as uint8 RGB [H, W, 3].

    Raises:
        ValueError: the file is missing or cannot be decoded.
    """
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error})") from error
    return _decode(encoded, str(path))


def _decode(encoded: NDArray[np.uint8], what: str) -> NDArray[np.uint8]:
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise ValueError(f"{what} cannot be decoded as an image")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
