"""Images of every sort, whole and broken."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from sesame_hpc.data.decoding import held_back_errors
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
        ("text.png", b"no image at all", "images that are read"),
    ):
        with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
            read_image(write(tmp_path, name, content))
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg")


def damaged(content: bytes, at: float = 0.5, count: int = 24) -> bytes:
    """The file with `count` other bytes within."""
    start = int(at * len(content))
    other = np.random.default_rng(6).integers(0, 255, count, dtype=np.uint8).tobytes()
    return content[:start] + other + content[start + count :]


def test_damage_within_a_file_is_named(tmp_path, capfd):
    photo = cv2.resize(RNG.integers(0, 256, (60, 90, 3)).astype(np.uint8), (360, 240))
    jpeg, png = encode(".jpg", photo), encode(".png", photo)
    with pytest.raises(ValueError, match=r"a\.jpg: the image is damaged.*\d+ extraneous bytes"):
        read_image(write(tmp_path, "a.jpg", damaged(jpeg)))
    with pytest.raises(ValueError, match=r"a\.png: is not an image .*\(libpng error: "):
        read_image(write(tmp_path, "a.png", damaged(png)))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("filling", [b"\0", b"\0\0\0", b"\x20" * 8])
def test_a_few_bytes_that_fill_the_end_of_a_jpeg_are_no_damage(tmp_path, filling):
    content = encode(".jpg", RGB)
    path = write(tmp_path, "a.jpg", content[:-2] + filling + content[-2:] + b"\xff\xd9" * 2)
    assert read_image(path).shape == RGB.shape


def test_a_few_bytes_that_damage_leaves_at_the_end_of_a_jpeg_are_named(tmp_path):
    """As of photographs in which 200 bytes or one bit were changed: decoding ends too early."""
    content = encode(".jpg", RGB)
    path = write(tmp_path, "a.jpg", content[:-2] + b"\x28\xa4\x07\x8a" * 3 + content[-2:])
    with pytest.raises(ValueError, match=r"the image is damaged.* [2-8] extraneous bytes"):
        read_image(path)


@pytest.mark.parametrize("trailing", [b"\0" * 6000, b"IEND" * 3, b"\x89PNG\r\n\x1a\n" * 999])
def test_what_follows_the_end_of_a_png_does_no_harm(tmp_path, trailing):
    content = encode(".png", RGB[..., ::-1])
    np.testing.assert_array_equal(read_image(write(tmp_path, "a.png", content + trailing)), RGB)


def one_bit_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = zlib.compressobj()
    data = b"".join(rows.compress(b"\0" * (1 + -(-width // 8))) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data + rows.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(tmp_path, suffix, monkeypatch):
    if suffix == ".png":
        content = one_bit_png(30000, 30000)
    else:
        content = encode(suffix, RGB)
        monkeypatch.setattr("sesame_hpc.data.decoding.MOST_PIXELS", 1000)
    path = write(tmp_path, f"large{suffix}", content)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=rf"large\{suffix}: has .* pixels.*make it smaller"):
        read_image(path)


def test_what_others_write_to_standard_error_meanwhile_stays(tmp_path, capfd):
    with held_back_errors() as errors:
        os.write(2, b"of somebody else\nlibpng warning: iCCP\n")
        assert errors.lines() == ["of somebody else", "libpng warning: iCCP"]
    assert capfd.readouterr().err == "of somebody else\n"


def test_kinds_that_are_not_read_are_called_what_they_are(tmp_path):
    pixels = np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3)
    assert cv2.imwrite(str(tmp_path / "a.tif"), pixels)
    with pytest.raises(ValueError, match=r"a\.tif: is a TIFF of pixels that are not read"):
        read_image(tmp_path / "a.tif")
    for content, kind in (
        (b"GIF89a", "GIF"),
        (b"<html>", "an HTML page"),
        (bytes(90), "not an image"),
    ):
        (tmp_path / "b.jpg").write_bytes(content)
        with pytest.raises(ValueError, match=rf"b\.jpg: is {kind}; images that are read: JPEG, "):
            read_image(tmp_path / "b.jpg")
