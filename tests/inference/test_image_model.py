"""The ONNX model that takes whole images against `Landmarker`: pixels, confidence, any batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sesame_hpc.config import BoxConfig
from sesame_hpc.inference.cropping import crop_faces
from sesame_hpc.inference.exported import IMAGE_FILE, find_exported
from sesame_hpc.inference.image_model import CalibrationNet, ImageNet
from sesame_hpc.inference.landmarker import Landmarker

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = 32


class Maps(torch.nn.Module):
    """Gives the crops themselves, in place of landmarks."""

    def forward(self, crops):
        self.crops = crops
        return torch.zeros(len(crops), 1, 2), torch.ones(len(crops), 1)


def crops_of(image: np.ndarray, boxes: np.ndarray, box: BoxConfig, manifest) -> np.ndarray:
    settings = {"box": box, "calibration": None}
    maps = Maps()
    network = ImageNet(maps, manifest.model_copy(update=settings))  # type: ignore[arg-type]
    network(torch.from_numpy(image)[None], torch.from_numpy(boxes)[None])
    return maps.crops.numpy()


@pytest.mark.parametrize("protocol", ["square", "letterbox", "landmarks"])
@pytest.mark.parametrize("size", [(40, 56), (301, 500), (701, 333)])
def test_crops_have_the_bits_of_the_landmarkers(landmarker, protocol, size) -> None:
    """Shrunk up to 32 times and enlarged, over all edges, flat and tall, at exact powers of two."""
    height, width = size
    random = np.random.default_rng(height)
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    sides = np.exp(random.uniform(np.log(2), np.log(3 * width), (12, 2)))
    centres = random.uniform((0, 0), (width, height), (12, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    powers = [[0, 0, SIZE / 1.25 * shrink, 9] for shrink in (1, 2, 4, 8)]
    boxes = np.concatenate([boxes, powers, [[0, 0, width, height]]]).astype(np.float32)
    box = BoxConfig(protocol=protocol, scale=1.25)
    expected, _ = crop_faces(image, boxes.astype(np.float64), SIZE, box)
    np.testing.assert_allclose(
        crops_of(image, boxes, box, landmarker.manifest), expected, rtol=0, atol=2e-6
    )


def test_confidences_are_the_calibrations(landmarker: Landmarker) -> None:
    calibration = landmarker.manifest.calibration
    assert calibration is not None
    spread = np.random.default_rng(0).uniform(1e-4, 0.6, (2, 5, 98)).astype(np.float32)
    confidence, error = CalibrationNet(calibration)(torch.from_numpy(spread))
    faces = spread.reshape(-1, 98).astype(np.float64)
    np.testing.assert_allclose(confidence.reshape(-1, 98), calibration.confidence(faces), atol=1e-6)
    np.testing.assert_allclose(error.reshape(-1, 98), calibration.expected_error(faces), rtol=1e-5)


@pytest.fixture(scope="module")
def session(exported: Path):
    return onnxruntime.InferenceSession(exported / IMAGE_FILE, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("count", "faces"), [(1, 1), (1, 4), (3, 1), (2, 3)])
@pytest.mark.parametrize("size", [(96, 80), (240, 501)])
def test_pixels_are_the_landmarkers_for_any_batch(session, landmarker, count, faces, size) -> None:
    """The boxes are whole pixels, so that edges of windows are too: what rounding decides."""
    height, width = size
    random = np.random.default_rng(count * 10 + faces)
    images = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    low = random.uniform((-20, -20), (0.4 * width, 0.4 * height), (count, faces, 2)).round()
    extent = 10 * random.uniform(3, 0.12 * width, (count, faces, 2)).round()
    boxes = np.concatenate([low, low + extent], axis=2).astype(np.float32)
    expected = landmarker(list(images), list(boxes.astype(np.float64)))
    points, spread, confidence, error = session.run(None, {"images": images, "boxes": boxes})
    assert points.shape == (count, faces, landmarker.scheme.num_landmarks, 2)
    points = points.reshape(expected.points.shape)
    np.testing.assert_allclose(points, expected.points, atol=5e-3)
    flat = expected.spread.shape
    np.testing.assert_allclose(spread.reshape(flat), expected.spread, atol=1e-5)
    np.testing.assert_allclose(confidence.reshape(flat), expected.confidence, atol=1e-4)
    np.testing.assert_allclose(error.reshape(flat), expected.expected_error, rtol=1e-3)


def test_turned_images_have_turned_landmarks_in_their_own_frame(session, landmarker) -> None:
    """A quarter turn of image and box: both see the turned pixels, not the upright ones."""
    random = np.random.default_rng(7)
    image = random.integers(0, 256, (90, 140, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(np.rot90(image))
    box = np.array([20, 10, 100, 70], np.float32)
    turned_box = np.array([10, 140 - 100, 70, 140 - 20], np.float32)
    for each, its in ((image, box), (turned, turned_box)):
        points = session.run(["points"], {"images": each[None], "boxes": its[None, None]})[0]
        np.testing.assert_allclose(points[0], landmarker(each, its).points, atol=5e-3)


def test_it_is_not_taken_for_a_model_of_crops(exported: Path) -> None:
    with pytest.raises(ValueError, match="takes whole images and boxes"):
        Landmarker.load(exported / IMAGE_FILE)
    assert find_exported(exported).name != IMAGE_FILE
    assert IMAGE_FILE in (exported / "README.md").read_text()
