"""The forms of image that a `Landmarker` takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sesame_hpc.inference.image_input import as_images, is_one_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


@pytest.fixture
def path(tmp_path) -> Path:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_arrays_pil_images_and_paths_are_images(path):
    grey = np.repeat(RGB[..., :1], 3, axis=2)
    alpha = np.dstack([RGB, np.full(RGB.shape[:2], 9, np.uint8)])
    for image, expected in (
        (RGB, RGB),
        (RGB[..., 0], grey),
        (RGB[..., :1], grey),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(RGB[..., 0]), grey),
        (Image.fromarray(alpha), RGB),
        (path, RGB),
        (str(path), RGB),
    ):
        assert is_one_image(image)
        (found,) = as_images([image])
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    assert not is_one_image([RGB])
    assert not is_one_image((str(path),))
    assert not is_one_image(np.stack([RGB, RGB]))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, r"is None \(cv2\.imread returns that"),
        (3, "is int"),
        (b"abc", "is bytes"),
        ({"a": 1}, "is dict"),
        (RGB.astype(np.float32) / 255, r"is float32 \[6, 9, 3\].*from 0 to 255"),
        (RGB.astype(np.uint16), r"is uint16 \[6, 9, 3\]"),
        (np.zeros((6, 9, 4), np.uint8), r"is uint8 \[6, 9, 4\]"),
        (np.zeros((0, 9, 3), np.uint8), r"is uint8 \[0, 9, 3\]"),
        (np.zeros(7, np.uint8), r"is uint8 \[7\]"),
        (Image.fromarray(RGB[..., 0].astype(np.int32)), "is a PIL image of mode I"),
        (torch.zeros(3, 6, 9), r"is torch\.Tensor \[3, 6, 9\]"),
    ],
)
def test_other_things_are_named(image, message):
    for images in ([RGB, image], [RGB, [image][0]]):
        with pytest.raises(ValueError, match=rf"image 1: {message}"):
            as_images(images)
    assert is_one_image(image)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        as_images([tmp_path / "none.png"])
