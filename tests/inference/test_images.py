"""Images of every sort, whole and broken."""

import struct

import cv2
import numpy as np
import pytest

from sesame_hpc.inference.images import read_image

RNG = np.random.default_rng(0)
RGB = cv2.resize(RNG.integers(0, 256, (6, 9, 3)).astype(np.uint8), (90, 60))


def encode(suffix: str, image: np.ndarray) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def with_exif(jpeg: bytes, orientation: int, thumbnail: bytes = b"") -> bytes:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0) + thumbnail
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def write(tmp_path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_png_is_exact_and_rgb(tmp_path):
    found = read_image(write(tmp_path, "a.png", encode(".png", RGB[..., ::-1])))
    np.testing.assert_array_equal(found, RGB)


def test_grey_sixteen_bits_and_transparency(tmp_path):
    grey = read_image(write(tmp_path, "grey.png", encode(".png", RGB[..., 0])))
    np.testing.assert_array_equal(grey, np.repeat(RGB[..., :1], 3, axis=2))
    deep = RGB[..., ::-1].astype(np.uint16) * 257
    found = read_image(write(tmp_path, "deep.png", encode(".png", deep)))
    assert np.abs(found.astype(int) - RGB).max() <= 1
    alpha = np.dstack([RGB[..., ::-1], np.full(RGB.shape[:2], 7, np.uint8)])
    found = read_image(write(tmp_path, "alpha.png", encode(".png", alpha)))
    np.testing.assert_array_equal(found, RGB)


def test_exif_turns_the_image_upright(tmp_path):
    jpeg = encode(".jpg", RGB[..., ::-1])
    plain = read_image(write(tmp_path, "a.jpg", jpeg))
    turned = read_image(write(tmp_path, "b.jpg", with_exif(jpeg, 6)))
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["png", "jpg", "jpg with thumbnail"])
def test_a_file_cut_short_is_refused(tmp_path, kind, share):
    content = encode("." + kind[:3], RGB[..., ::-1])
    if "thumbnail" in kind:
        content = with_exif(content, 1, encode(".jpg", RGB[:8, :8]))
        read_image(write(tmp_path, "whole.jpg", content))
    path = write(tmp_path, "cut." + kind[:3], content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.(png|jpg): "):
        read_image(path)


def test_what_follows_the_end_of_a_jpeg_does_no_harm(tmp_path):
    content = encode(".jpg", RGB) + b"appended" * 100
    assert read_image(write(tmp_path, "a.jpg", content)).shape == RGB.shape


def test_other_content_is_named(tmp_path):
    for name, content, message in (
        ("empty.jpg", b"", "empty"),
        ("text.png", b"no image at all", "can be decoded"),
    ):
        with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
            read_image(write(tmp_path, name, content))
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg")
