"""Drawn faces: where the landmarks are, in a size that leaves the face to be seen."""

import cv2
import numpy as np
import pytest

from sesame_hpc.inference.drawing import draw_found
from sesame_hpc.schemes import load_scheme

SCHEME = load_scheme("wflw98")


def face(side: float, low: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on a grid within a box [low, low + side]."""
    places = np.stack(np.meshgrid(np.arange(10), np.arange(10)), -1).reshape(-1, 2)[:98]
    return low + side * (0.05 + 0.1 * places), np.array([low, low, low + side, low + side])


@pytest.mark.parametrize("side", [64, 128, 256, 640])
def test_most_of_a_face_of_any_size_stays_visible(side):
    image = np.full((side, side, 3), 90, np.uint8)
    points, box = face(0.7 * side, 0.15 * side)
    draw_found(image, points, box, float("nan"), SCHEME)
    inside = image[tuple(slice(int(0.2 * side), int(0.8 * side)) for _ in "yx")].astype(int)
    change = np.abs(inside - 90).max(axis=2)
    assert change.max() > 60
    assert change.mean() < 40
    assert (change < 20).mean() > 0.5


def test_box_and_confidence_are_shown():
    side = 200
    points, box = face(100, 60)
    plain, labelled = (np.zeros((side, side, 3), np.uint8) for _ in range(2))
    draw_found(plain, points, box, float("nan"), SCHEME)
    for row, column in ((60, 110), (160, 110), (110, 60), (110, 160)):
        around = plain[row - 1 : row + 1, column - 1 : column + 1]
        assert around.max() > 100, (row, column)
    draw_found(labelled, points, box, 0.87, SCHEME)
    changed = np.argwhere((plain != labelled).any(axis=2))
    assert changed[:, 0].max() < 60
    assert changed[:, 0].min() > 40
    other = np.zeros_like(plain)
    draw_found(other, points, box, 0.21, SCHEME)
    assert (other != labelled).any()


def test_a_face_at_the_edge_keeps_its_label_within_the_image():
    image = np.zeros((90, 90, 3), np.uint8)
    plain = image.copy()
    points, box = face(80, -20)
    draw_found(image, points, box, 0.5, SCHEME)
    draw_found(plain, points, box, float("nan"), SCHEME)
    changed = np.argwhere((plain != image).any(axis=2))
    assert len(changed) > 30
    assert (changed.max(axis=0) < 60).all()


def test_what_is_not_near_the_face_stays_to_the_bit():
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8), (300, 300))
    before = image.copy()
    points, box = face(60, 20)
    draw_found(image, points, box, 0.5, SCHEME)
    assert (image != before).any()
    np.testing.assert_array_equal(image[120:], before[120:])
    np.testing.assert_array_equal(image[:, 120:], before[:, 120:])


def test_points_far_away_do_no_harm():
    image = np.zeros((40, 40, 3), np.uint8)
    points, box = face(20, 10)
    for shift in (1e4, -1e9, 1e15):
        draw_found(image, points + shift, box, 0.5, SCHEME)
    assert image.any()
