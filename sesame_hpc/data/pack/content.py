"""What a pack stores for one face: the image file as it is, or a shrunk crop."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.pack.layout import StoredImage

__all__ = ["Plan", "Stored", "stored_crop", "stored_original"]

_WORTH_CUTTING = 0.5
"""A crop of less than this fraction of its image is cut out even if it is not shrunk."""

_FULL_COLOUR = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Full chroma resolution: 2.7 dB better for shrunk crops than half."""


@dataclass(frozen=True)
class Plan:
    """What to store for a face: `region` (float64 [4], pixels, may extend beyond the image), at
    `zoom` (0..1) of its resolution, as JPEG of `quality`."""

    region: NDArray[np.float64]
    zoom: float
    quality: int


@dataclass(frozen=True)
class Stored:
    """An image to store; `psnr` in dB of encoding it again, None if it was not."""

    image: StoredImage
    psnr: float | None


def stored_original(path: Path, sample_id: int) -> Stored:
    """The file's own bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty.
    """
    encoded = _read(path)
    return Stored(
        StoredImage(sample_id, str(path), encoded, True, (0, 0, 0, 0), (0, 0), (0, 0)), None
    )


def stored_crop(path: Path, sample_id: int, plan: Plan) -> Stored:
    """The crop of `plan`; the file's own bytes if that is most of the image, not shrunk.

    Raises:
        OSError: the file cannot be read.
        ValueError: it cannot be decoded.
    """
    encoded = _read(path)
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("the image cannot be decoded; takes complete JPEG and PNG files")
    height, width = image.shape[:2]
    low = np.clip(np.floor(plan.region[:2]), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(plan.region[2:]), 0, (width, height)).astype(int)
    share = np.prod(high - low) / (width * height)
    if share == 0 or (plan.zoom >= 1 and share >= _WORTH_CUTTING):
        return stored_original(path, sample_id)
    crop = image[low[1] : high[1], low[0] : high[0]]
    size = np.maximum(np.rint((high - low) * plan.zoom), 1).astype(int)
    if plan.zoom < 1:
        crop = cv2.resize(crop, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    again = cv2.imencode(".jpg", crop, [*_FULL_COLOUR, cv2.IMWRITE_JPEG_QUALITY, plan.quality])[1]
    decoded = cv2.imdecode(again, cv2.IMREAD_COLOR)
    assert decoded is not None, "OpenCV reads what it wrote"
    region = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    stored = (crop.shape[1], crop.shape[0])
    key = f"{sample_id}"
    return Stored(
        StoredImage(sample_id, key, again.tobytes(), False, region, stored, (width, height)),
        cv2.PSNR(crop, decoded),
    )


def _read(path: Path) -> bytes:
    encoded = path.read_bytes()
    if not encoded:
        raise ValueError("the file is empty; takes JPEG and PNG")
    return encoded
