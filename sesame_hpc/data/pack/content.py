"""What a pack stores for one face: the image file as it is, or a shrunk crop."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.image_files import VALID_IMAGES
from sesame_hpc.data.pack.layout import StoredImage

__all__ = ["Plan", "Stored", "stored_crop", "stored_original", "uncompressed_crop"]

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
    image = _decode(_read(path))
    height, width = image.shape[:2]
    region = _inside(plan, width, height)
    share = (region[2] - region[0]) * (region[3] - region[1]) / (width * height)
    if share == 0 or (plan.zoom >= 1 and share >= _WORTH_CUTTING):
        return stored_original(path, sample_id)
    crop = _cut(image, region, plan.zoom)
    again = cv2.imencode(".jpg", crop, [*_FULL_COLOUR, cv2.IMWRITE_JPEG_QUALITY, plan.quality])[1]
    decoded = cv2.imdecode(again, cv2.IMREAD_COLOR)
    assert decoded is not None, "OpenCV reads what it wrote"
    stored = (crop.shape[1], crop.shape[0])
    key = f"{sample_id}"
    return Stored(
        StoredImage(sample_id, key, again.tobytes(), False, region, stored, (width, height)),
        cv2.PSNR(crop, decoded),
    )


def uncompressed_crop(path: Path, sample_id: int, plan: Plan) -> StoredImage:
    """What `plan` asks for as a portable pixmap, which decodes at the speed of memory.

    Errors as for `stored_crop`.
    """
    image = _decode(_read(path))
    height, width = image.shape[:2]
    region = _inside(plan, width, height)
    if region[0] == region[2] or region[1] == region[3]:  # nothing of the image: black anyhow
        region = (0, 0, width, height)
    crop = _cut(image, region, plan.zoom)
    pixmap = cv2.imencode(".ppm", crop)[1].tobytes()
    stored = (crop.shape[1], crop.shape[0])
    return StoredImage(sample_id, f"{sample_id}", pixmap, False, region, stored, (width, height))


def _decode(encoded: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"the image cannot be decoded; takes complete files of {VALID_IMAGES}")
    return np.asarray(image, np.uint8)


def _inside(plan: Plan, width: int, height: int) -> tuple[int, int, int, int]:
    """The planned region in whole pixels of the image."""
    low = np.clip(np.floor(plan.region[:2]), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(plan.region[2:]), 0, (width, height)).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _cut(
    image: NDArray[np.uint8], region: tuple[int, int, int, int], zoom: float
) -> NDArray[np.uint8]:
    crop = image[region[1] : region[3], region[0] : region[2]]
    if zoom >= 1:
        return crop
    width, height = (max(1, round(side * zoom)) for side in crop.shape[1::-1])
    return np.asarray(cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _read(path: Path) -> bytes:
    encoded = path.read_bytes()
    if not encoded:
        raise ValueError(f"the file is empty; takes {VALID_IMAGES}")
    return encoded
