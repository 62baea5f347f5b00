"""Which faces an epoch has: passes, turns, and the share of unlabelled faces."""

from collections import Counter

import numpy as np
import pytest

from sesame_hpc.data.loading.order import EpochOrder
from sesame_hpc.data.rng import epoch_permutation


def drawn(order: EpochOrder, epochs: int) -> np.ndarray:
    return np.concatenate([order.epoch(epoch) for epoch in range(epochs)])


def test_without_a_number_of_samples_an_epoch_is_a_pass():
    order = EpochOrder(3, "finetune", 11)
    for epoch in (0, 5):
        rows, turns = order.epoch(epoch).T
        assert rows.tolist() == epoch_permutation(3, "finetune", epoch, 11).tolist()
        assert not turns.any()


@pytest.mark.parametrize("samples", [4, 11, 25])
def test_no_face_is_more_than_a_pass_ahead(samples):
    order = EpochOrder(3, "finetune", 11, samples)
    assert order.per_epoch == samples
    rows = drawn(order, 8)[:, 0]
    for stop in range(1, len(rows) + 1):
        counts = np.bincount(rows[:stop], minlength=11)
        assert counts.max() - counts.min() <= 1
    assert rows[:11].tolist() != rows[11:22].tolist()


def test_turns_count_how_often_a_face_came_before_in_the_epoch():
    order = EpochOrder(3, "finetune", 4, 30)
    for epoch in (0, 1):
        seen: Counter[int] = Counter()
        for row, turn in order.epoch(epoch).tolist():
            assert turn == seen[row]
            seen[row] += 1
    assert max(seen.values()) == 8


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("samples", [None, 40])
def test_any_run_of_samples_has_the_share_of_unlabelled_faces(share, samples):
    order = EpochOrder(3, "pretrain", 17, samples, first_unlabelled=5, share=share)
    rows = drawn(order, 4)[:, 0]
    assert len(rows) == 4 * (samples or 17)
    is_unlabelled = rows >= 5
    for length in (8, 20, len(rows)):
        for start in range(len(rows) - length + 1):
            count = is_unlabelled[start : start + length].sum()
            assert abs(count - share * length) <= 1
    for kind in (rows[is_unlabelled], rows[~is_unlabelled]):
        counts = np.unique(kind, return_counts=True)[1]
        assert not len(kind) or counts.max() - counts.min() <= 1


def test_the_order_does_not_depend_on_what_was_asked_before():
    order = EpochOrder(3, "pretrain", 17, 40, first_unlabelled=5, share=0.3)
    third = order.epoch(3).tolist()
    order.epoch(0)
    assert order.epoch(3).tolist() == third
    assert EpochOrder(4, "pretrain", 17, 40, 5, 0.3).epoch(3).tolist() != third


def test_a_share_of_what_there_is_none_of_is_refused():
    with pytest.raises(ValueError, match=r"a share of 0\.5 unlabelled faces, but there are none"):
        EpochOrder(0, "pretrain", 5, first_unlabelled=5, share=0.5)
    with pytest.raises(ValueError, match=r"a share of 0\.5 labelled faces, but there are none"):
        EpochOrder(0, "pretrain", 5, first_unlabelled=0, share=0.5)
