"""Likeness of faces: which pairs are found, and what a thumbnail does not depend on."""

from typing import Any

import cv2
import numpy as np
import pytest

from sesame_hpc.data.check.thumbnails import similar_pairs, thumbnail


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 64)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [9, 1024, 1500, 2049])
def test_all_pairs_are_found_across_blocks(count):
    rows = unit_rows(count)
    planted = [(0, 3), (1, count - 1), (count - 2, count - 1)]
    rows[3] = rows[0]
    rows[count - 2] = rows[count - 1] = rows[1]
    firsts, seconds, values = similar_pairs(rows, 0.9)
    expected = sorted({*planted, (1, count - 2)}, key=lambda pair: pair[::-1])
    assert list(zip(firsts.tolist(), seconds.tolist(), strict=True)) == expected
    np.testing.assert_allclose(values, 1, atol=1e-5)


def test_of_many_partners_the_most_alike_are_kept():
    rows = np.tile(unit_rows(1), (2000, 1))
    rows[7] *= 1.01
    firsts, seconds, _ = similar_pairs(rows, 0.9, most=4)
    assert np.bincount(seconds).tolist() == [0, 1, 2, 3, *[4] * 1996]
    assert 7 in firsts[seconds == 1000]
    assert 7 in firsts[seconds == 1999]


def test_a_face_keeps_its_thumbnail_when_the_image_is_changed():
    noise = np.random.default_rng(4).integers(0, 256, (240, 300)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 5)
    grey: Any = cv2.normalize(blurred, np.empty_like(blurred), 0, 255, cv2.NORM_MINMAX)
    points = np.array([[80.0, 60], [200, 70], [140, 180]])
    before = thumbnail(grey, points)
    half: Any = cv2.resize(grey, (150, 120), interpolation=cv2.INTER_AREA)
    for changed, moved in (
        (grey[20:, 30:], points - [30, 20]),
        (half, points / 2),
        (cv2.convertScaleAbs(grey, alpha=0.6, beta=70), points),
    ):
        assert before @ thumbnail(changed, moved) > 0.95
    assert abs(before @ thumbnail(grey[:, ::-1], points)) < 0.5


def test_nothing_to_see_has_no_thumbnail():
    points = np.array([[10.0, 10], [50, 10], [30, 40]])
    flat = np.full((64, 64), 90, np.uint8)
    assert thumbnail(flat, points) is None
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert thumbnail(noisy, points + 100) is None
    assert thumbnail(noisy, points) is not None
