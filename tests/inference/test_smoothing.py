"""The One-Euro filter, and which face is which from frame to frame."""

import numpy as np
import pytest

from sesame_hpc.inference.smoothing import FaceSmoother, OneEuro

RATE = 30.0


def run_filter(track: np.ndarray, rate: float = RATE, **options: float) -> np.ndarray:
    smooth = OneEuro(**options)
    return np.stack([smooth(points, 1 / rate) for points in track])


def test_what_rests_stays_exactly():
    track = np.tile([[3.0, 4.0], [5.0, -6.0]], (20, 1, 1))
    np.testing.assert_array_equal(run_filter(track), track)


def test_jitter_at_rest_shrinks_and_a_movement_is_followed():
    rng = np.random.default_rng(0)
    jitter = rng.normal(0, 0.01, (300, 4, 2))
    assert run_filter(jitter)[60:].std() < 0.5 * jitter.std()
    moving = np.linspace(0, 10, 150)[:, None, None] * np.ones((1, 1, 2))
    late = moving - run_filter(moving)
    assert np.abs(late[60:]).max() < 0.1
    slow = moving - run_filter(moving, quickness=0.0)
    assert np.abs(slow[60:]).max() > 2 * np.abs(late[60:]).max()


def test_the_first_order_response_is_that_of_the_cutoff():
    """Without quickness it is a plain low-pass: 1 - 1/e of a step after one time constant."""
    step = np.concatenate([np.zeros((1, 1, 2)), np.ones((2000, 1, 2))])
    smooth = run_filter(step, rate=2000.0, least_cutoff=1.0, quickness=0.0)
    after = int(2000 / (2 * np.pi))
    assert smooth[after, 0, 0] == pytest.approx(1 - np.exp(-1), abs=2e-3)


def test_time_and_size_count_in_their_units():
    track = np.cumsum(np.random.default_rng(1).normal(size=(40, 3, 2)), axis=0)
    small, large = OneEuro(), OneEuro()
    for points in track:
        a, b = small(points, 0.1, scale=20.0), large(50 * points, 0.1, scale=1000.0)
        np.testing.assert_allclose(50 * a, b)


def test_cutoffs_are_checked():
    with pytest.raises(ValueError, match="above 0 Hz"):
        OneEuro(least_cutoff=0)


def boxes_at(*lefts: float) -> np.ndarray:
    return np.array([[left, 0, left + 10, 10] for left in lefts], dtype=np.float64)


def test_faces_that_change_places_in_the_list_keep_their_filters():
    smoother = FaceSmoother()
    a, b = np.zeros((1, 4, 2)), np.full((1, 4, 2), 100.0)
    for frame in range(10):
        time = frame / RATE
        if frame % 2:
            found = smoother(np.concatenate([b, a]), boxes_at(100, 0), time)[::-1]
        else:
            found = smoother(np.concatenate([a, b]), boxes_at(0, 100), time)
        np.testing.assert_array_equal(found, np.concatenate([a, b]))


def test_a_face_elsewhere_or_long_unseen_begins_anew():
    start, there = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    near = FaceSmoother()
    near(start, boxes_at(0), 0.0)
    assert near(there, boxes_at(1), 0.04).max() < 0.9
    far = FaceSmoother()
    far(start, boxes_at(0), 0.0)
    np.testing.assert_array_equal(far(there, boxes_at(9), 0.04), there)
    later = FaceSmoother()
    later(start, boxes_at(0), 0.0)
    np.testing.assert_array_equal(later(there, boxes_at(0), 0.6), there)


def test_a_frame_without_faces_is_no_fault():
    smoother = FaceSmoother()
    assert smoother(np.empty((0, 2, 2)), np.empty((0, 4)), 0.0).shape == (0, 2, 2)
