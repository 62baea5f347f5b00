"""Means over seeds with intervals over seeds and faces, against brute force and known cases."""

import itertools

import numpy as np
import pytest

from sesame_hpc.evaluation.seeds import Estimate, seed_estimates
from sesame_hpc.evaluation.student import student_quantile


def estimate(values: np.ndarray, faces: np.ndarray | None = None) -> Estimate:
    """Of values [S, n] whose rows have the same faces, or those of `faces` [S, n]."""
    ids = np.tile(np.arange(values.shape[1]), (len(values), 1)) if faces is None else faces
    return seed_estimates([row[:, None] for row in values], list(ids))[0]


def half_width(found: Estimate) -> float:
    assert found.interval is not None
    return (found.interval[1] - found.interval[0]) / 2


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.70620), (2, 4.30265), (3, 3.18245), (4, 2.77645), (30, 2.04227), (1e9, 1.95996)],
)
def test_students_quantile_is_that_of_the_tables(degrees: float, quantile: float) -> None:
    assert student_quantile(degrees) == pytest.approx(quantile, rel=2e-4)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = estimate(np.array([[1.0, 2.0, 6.0]]))
    assert (found.mean, found.interval, found.side) == (3.0, None, "one seed")


def test_seeds_that_differ_alone_give_the_t_interval_of_their_means() -> None:
    seeds = np.array([1.0, 1.4, 0.9, 1.6, 1.3])
    found = estimate(np.tile(seeds[:, None], (1, 40)))
    assert found.mean == pytest.approx(seeds.mean())
    assert half_width(found) == pytest.approx(2.77645 * seeds.std(ddof=1) / np.sqrt(5), rel=0.05)


def test_faces_that_differ_alone_give_the_interval_of_the_faces() -> None:
    faces = np.random.default_rng(1).normal(0.5, 1.0, 200)
    found = estimate(np.tile(faces, (4, 1)))
    assert half_width(found) == pytest.approx(1.97 * faces.std() / np.sqrt(200), rel=0.05)
    assert found.side == "higher"


def test_the_variance_is_that_of_all_resamples() -> None:
    """Every draw of 2 of 3 seeds with every draw of 4 of 4 faces."""
    values = np.random.default_rng(5).normal(size=(3, 4))
    draws = list(itertools.product(range(4), repeat=4))
    pairs = list(itertools.product(range(3), repeat=2))
    both = [values[np.ix_(pair, draw)].mean() for draw in draws for pair in pairs]
    alone = [values[:, draw].mean() for draw in draws]
    v, v_f = np.var(both), np.var(alone)
    nu = v**2 / ((v - v_f) ** 2 / 2 + v_f**2 / 3)
    expected = student_quantile(nu) * np.sqrt(v)
    assert half_width(estimate(values)) == pytest.approx(expected, rel=0.08)


def test_a_face_that_seeds_share_is_resampled_in_both_at_once() -> None:
    """The same numbers on other faces are more evidence than on the same ones."""
    values = np.tile(np.random.default_rng(2).normal(size=60), (8, 1))
    same = estimate(values)
    apart = estimate(values, np.arange(480).reshape(8, 60))
    assert half_width(apart) < 0.7 * half_width(same)


def test_faces_are_found_by_their_ids_in_any_order() -> None:
    values = np.random.default_rng(3).normal(size=(2, 30))
    order = np.random.default_rng(4).permutation(30)
    one = estimate(values)
    other = estimate(np.stack([values[0], values[1][order]]), np.stack([np.arange(30), order]))
    assert other.mean == pytest.approx(one.mean)
    assert other.interval == pytest.approx(one.interval)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    """Differences of which the seed decides most: percentiles of resamples would hold it half."""
    generator = np.random.default_rng(seeds)
    held = 0
    for _ in range(150):
        values = generator.normal(size=(seeds, 1)) + 0.3 * generator.normal(size=(seeds, 25))
        low, high = estimate(values).interval or (0.0, 0.0)
        held += low <= 0.0 <= high
    assert held / 150 >= 0.9


def test_columns_are_judged_each_for_itself() -> None:
    generator = np.random.default_rng(6)
    values = [generator.normal([-1.0, 0.0, 1.0], 0.2, (50, 3)) for _ in range(4)]
    found = seed_estimates(values, [np.arange(50)] * 4)
    assert [each.side for each in found] == ["lower", "open", "higher"]
    assert found == seed_estimates(values, [np.arange(50)] * 4)


@pytest.mark.parametrize(
    ("values", "faces", "message"),
    [
        ([], [], "at least one seed"),
        ([np.zeros((0, 1))], [np.zeros(0, dtype=int)], "at least one face"),
        ([np.zeros((2, 1))] * 2, [np.array([3, 3])] * 2, "seed number 1: a face is given twice"),
    ],
)
def test_what_cannot_be_estimated_is_refused(
    values: list[np.ndarray], faces: list[np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        seed_estimates(values, faces)


def test_a_face_without_a_value_counts_in_other_columns_alone() -> None:
    """Half of the faces have none in the second column, as no point of a region is labelled."""
    generator = np.random.default_rng(2)
    values = [generator.normal(1.0, 1.0, (60, 2)) for _ in range(3)]
    gaps = [each.copy() for each in values]
    for each in gaps:
        each[::2, 1] = np.nan
    ids = [np.arange(60)] * 3
    whole, some = seed_estimates(values, ids), seed_estimates(gaps, ids)
    assert some[0].mean == whole[0].mean
    assert some[0].interval == pytest.approx(whole[0].interval, rel=1e-9)
    alone = seed_estimates([each[1::2, 1:] for each in values], [np.arange(30)] * 3)[0]
    assert some[1].mean == pytest.approx(alone.mean)
    assert half_width(some[1]) == pytest.approx(half_width(alone), rel=0.15)
    with pytest.raises(ValueError, match="each seed at least one face"):
        seed_estimates([np.full((3, 1), np.nan)], [np.arange(3)])
