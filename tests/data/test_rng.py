from typing import Any

import numpy as np
import pytest

from sesame_hpc.data.rng import epoch_permutation, keyed_generator

NAMES = (3, "pretrain", 5, 17, "augment")


def test_a_name_always_gives_the_same_numbers():
    first = keyed_generator(*NAMES).random(8)
    np.testing.assert_array_equal(keyed_generator(*NAMES).random(8), first)


def test_the_streams_stay_what_they_were_so_that_old_runs_resume():
    generator = keyed_generator(0, "preliminary", 0, 0, "augment")
    assert generator.integers(0, 2**63) == 1939844277696974798


@pytest.mark.parametrize(
    ("place", "value"), [(0, 4), (1, "finetune"), (2, 6), (3, 18), (4, "mask")]
)
def test_every_part_of_the_name_matters(place, value):
    other: list[Any] = list(NAMES)
    other[place] = value
    assert not np.isin(keyed_generator(*other).random(8), keyed_generator(*NAMES).random(8)).any()


def test_neighbouring_streams_are_uncorrelated():
    draws = np.stack([keyed_generator(0, "s", 0, i, "p").random(64) for i in range(200)])
    correlation = np.asarray(np.corrcoef(draws))[~np.eye(200, dtype=bool)]
    assert np.abs(correlation).max() < 0.6
    assert np.abs(correlation).mean() < 0.12
    assert draws.mean() == pytest.approx(0.5, abs=0.01)


def test_epoch_permutation_is_one_and_differs_between_epochs():
    first, second = (epoch_permutation(1, "pretrain", epoch, 50) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first.tolist() != second.tolist()
    assert first.tolist() == epoch_permutation(1, "pretrain", 0, 50).tolist()
