"""Likeness of faces: which pairs are found, and what a thumbnail does not depend on."""

from typing import Any

import cv2
import numpy as np
import pytest

from sesame_hpc.data.check.similar import EXACT, similar_pairs
from sesame_hpc.data.check.thumbnails import thumbnails_of


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 64)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def thumbnail(grey: np.ndarray, points: np.ndarray) -> Any:
    (found,) = thumbnails_of(grey, [points])
    return None if found is None else found.astype(np.float32)


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


def test_among_many_the_alike_are_found_by_signatures():
    """Of 40 planted pairs of each likeness; nothing else is alike in 64 dimensions at 0.8."""
    generator = np.random.default_rng(3)
    rows = unit_rows(EXACT + 400, seed=1)
    places = generator.permutation(len(rows))[:240].reshape(3, 40, 2)
    for likeness, pairs in zip((0.85, 0.9, 0.97), places, strict=True):
        for one, other in pairs:
            across = rows[other] - (rows[other] @ rows[one]) * rows[one]
            across /= np.linalg.norm(across)
            rows[other] = likeness * rows[one] + np.sqrt(1 - likeness**2) * across
    firsts, seconds, values = similar_pairs(rows.astype(np.float16), 0.8)
    found = set(zip(firsts.tolist(), seconds.tolist(), strict=True))
    assert list(zip(seconds, firsts, strict=True)) == sorted(zip(seconds, firsts, strict=True))
    for least, pairs in zip((36, 38, 40), np.sort(places, axis=2), strict=True):
        assert len(found & set(map(tuple, pairs.tolist()))) >= least
    assert found <= {(int(a), int(b)) for pair in places.reshape(-1, 2) for a, b in [sorted(pair)]}
    np.testing.assert_allclose(values, (rows[firsts] * rows[seconds]).sum(axis=1), atol=2e-3)


def test_of_many_partners_by_signatures_the_most_alike_are_kept():
    rows = unit_rows(EXACT + 1, seed=1)
    rows[100:120] = rows[100]
    firsts, seconds, _ = similar_pairs(rows, 0.9, most=4)
    assert set(np.bincount(seconds)[104:120].tolist()) == {4}
    assert len(firsts) == 1 + 2 + 3 + 4 * 16


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
