"""How far an exported model of whole images is from the `Landmarker` that it stands for."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.inference.landmarker import Landmarker

__all__ = ["MOST_DIFFERENCE", "ImageDifference", "image_difference"]

MOST_DIFFERENCE = 1e-2
"""Pixels of the crop. Coordinates are fp32 pixels of the image, and crops are summed in fp32."""

_SIZES = ((48, 64), (331, 257), (500, 900))
_BATCHES = ((1, 1), (1, 5), (3, 2))


@dataclass(frozen=True)
class ImageDifference:
    """The largest difference of a coordinate in pixels of the crop, and of a confidence."""

    largest_error_px: float
    largest_confidence_error: float
    checked_on: str

    @property
    def worst(self) -> float:
        return self.largest_error_px

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "largest_spread_error": 0.0}

    def __str__(self) -> str:
        return (
            f"largest coordinate error {self.largest_error_px:.2e} px of the crop against the "
            f"Landmarker on {self.checked_on}"
        )


def image_difference(path: Path, landmarker: Landmarker) -> ImageDifference:
    """Both on images of noise in three sizes, in three batches, with boxes of many kinds."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    manifest, random = landmarker.manifest, np.random.default_rng(0)
    worst = worst_confidence = 0.0
    checked = 0
    for height, width in _SIZES:
        for count, faces in _BATCHES:
            images = _smooth_noise(random, count, height, width)
            boxes = _boxes(random, count * faces, height, width).reshape(count, faces, 4)
            expected = landmarker(list(images), list(boxes.astype(np.float64)))
            outputs = session.run(None, {"images": images, "boxes": boxes})
            points = outputs[0].reshape(expected.points.shape)
            sides = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1).reshape(-1, 1, 1)
            crop_pixels = manifest.model.image_size / (sides * manifest.box.scale)
            worst = max(worst, float((np.abs(points - expected.points) * crop_pixels).max()))
            checked += count * faces
            if manifest.calibration is not None:
                away = np.abs(outputs[2].reshape(expected.confidence.shape) - expected.confidence)
                worst_confidence = max(worst_confidence, float(away.max()))
    return ImageDifference(worst, worst_confidence, f"{checked} boxes in images of noise")


def _smooth_noise(
    random: np.random.Generator, count: int, height: int, width: int
) -> NDArray[np.uint8]:
    """Blocks of 8 x 8 pixels of one colour, with noise of single pixels."""
    shape = (count, -(-height // 8), -(-width // 8), 3)
    coarse = random.integers(40, 216, shape).repeat(8, 1).repeat(8, 2)[:, :height, :width]
    return (coarse + random.integers(-40, 40, coarse.shape)).clip(0, 255).astype(np.uint8)


def _boxes(random: np.random.Generator, count: int, height: int, width: int) -> NDArray[np.float32]:
    """float32 [count, 4]: small and larger than the image, of all shapes, some over the edge,
    every other one of whole pixels."""
    sides = np.exp(random.uniform(np.log(6), np.log(1.2 * max(height, width)), (count, 2)))
    centres = random.uniform((0.3 * width, 0.3 * height), (0.7 * width, 0.7 * height), (count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    return np.where(np.arange(count)[:, None] % 2, boxes, boxes.round()).astype(np.float32)
