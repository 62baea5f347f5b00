from typing import Any

import numpy as np
import pytest

from sesame_hpc.data.geometry import (
    apply,
    compose,
    crop_matrix,
    decode_window,
    invert,
    square_windows,
)

BOX = np.array([[10.0, 20.0, 50.0, 100.0]])


def random_matrices(count: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    low = rng.uniform(-50, 2000, (count, 2))
    return crop_matrix(
        np.concatenate([low, low + rng.uniform(10, 1500, (count, 2))], axis=1),
        size,
        scale=rng.uniform(1.1, 1.5, count),
        degrees=rng.uniform(-20, 20, count),
        shift=rng.uniform(-0.05, 0.05, (count, 2)),
        flip=rng.random(count) < 0.5,
    )


def test_window_is_square_around_the_centre_of_the_box():
    centres, sides = square_windows(BOX, 1.2)
    assert centres.tolist() == [[30.0, 60.0]]
    assert sides == pytest.approx([96.0])


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [5, 0, 1, 9], [0, 0, np.nan, 1], [0, 0, np.inf, 1]])
def test_degenerate_box_is_named(box):
    with pytest.raises(ValueError, match="box 1 is"):
        square_windows(np.array([BOX[0], box]))


def test_plain_crop_maps_the_window_onto_the_crop():
    matrix = crop_matrix(BOX, 64, scale=1.0)
    window = np.array([[[-10.0, 20.0], [70.0, 20.0], [70.0, 100.0], [-10.0, 100.0]]])
    expected = [[[0, 0], [64, 0], [64, 64], [0, 64]]]
    np.testing.assert_allclose(apply(matrix, window), expected, atol=1e-12)


def test_flip_is_size_minus_x_after_everything_else():
    settings: dict[str, Any] = {"scale": 1.3, "degrees": 15.0, "shift": [0.04, -0.02]}
    points = np.random.default_rng(1).uniform(0, 100, (1, 5, 2))
    straight = apply(crop_matrix(BOX, 64, **settings), points)
    flipped = apply(crop_matrix(BOX, 64, **settings, flip=True), points)
    np.testing.assert_allclose(flipped[..., 0], 64 - straight[..., 0], atol=1e-12)
    np.testing.assert_allclose(flipped[..., 1], straight[..., 1], atol=1e-12)


def test_positive_rotation_is_counter_clockwise_around_the_crop_centre():
    matrix = crop_matrix(BOX, 64, scale=1.0, degrees=90.0)
    right_of_centre, centre = apply(matrix, np.array([[[40.0, 60.0], [30.0, 60.0]]]))[0]
    np.testing.assert_allclose(centre, [32, 32], atol=1e-12)
    np.testing.assert_allclose(right_of_centre, [32, 24], atol=1e-12)


def test_shift_is_in_fractions_of_the_crop_side():
    moved = crop_matrix(BOX, 64, degrees=20.0, shift=[0.25, -0.5])
    still = crop_matrix(BOX, 64, degrees=20.0)
    np.testing.assert_allclose((moved - still)[0], [[0, 0, 16], [0, 0, -32]], atol=1e-12)


def test_image_to_crop_and_back_is_exact():
    matrices = random_matrices(200, 256)
    points = np.random.default_rng(2).uniform(-100, 4000, (200, 98, 2))
    back = apply(invert(matrices), apply(matrices, points))
    np.testing.assert_allclose(back, points, rtol=0, atol=1e-9)


def test_compose_applies_the_inner_matrix_first():
    outer, inner = random_matrices(2, 96)
    points = np.random.default_rng(3).uniform(0, 500, (7, 2))
    expected = apply(outer, apply(inner, points))
    np.testing.assert_allclose(apply(compose(outer, inner), points), expected, atol=1e-9)


def test_singular_matrix_has_no_inverse():
    with pytest.raises(ValueError, match="singular"):
        invert(np.zeros((2, 3)))


def test_decode_window_composes_to_the_matrix_and_covers_the_crop():
    matrices = random_matrices(200, 96)
    window = decode_window(matrices, 96)
    to_region = np.zeros((200, 2, 3))
    to_region[:, 0, 0] = to_region[:, 1, 1] = window.shrink
    to_region[:, :, 2] = -window.start[:, ::-1] * window.shrink[:, None].astype(float)
    points = np.random.default_rng(4).uniform(0, 96, (200, 9, 2))
    in_image = apply(invert(matrices), points)
    again = apply(compose(window.matrix.astype(float), to_region), in_image)
    np.testing.assert_allclose(again, points, rtol=0, atol=1e-3)
    inside = (in_image >= 0).all(axis=2)
    covered = (in_image >= window.start[:, None, ::-1]) & (in_image <= window.end[:, None, ::-1])
    assert np.all(covered[inside])


def test_only_strong_shrinking_is_done_ahead_of_the_warp():
    boxes = np.array([[0, 0, side, side] for side in (50, 100, 149, 399, 401, 801)], dtype=float)
    window = decode_window(crop_matrix(boxes, 100), 100)
    assert window.shrink[:3].tolist() == [1, 1, 1]
    assert window.shrink[3:].tolist() == [1 / 2, 1 / 4, 1 / 8]
    blocks = (window.end - window.start) * window.shrink[:, None]
    np.testing.assert_array_equal(blocks, np.rint(blocks))
