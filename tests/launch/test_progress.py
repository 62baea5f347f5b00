"""How far a stage is, by what it has recorded."""

import pytest

from sesame_hpc.launch.progress import stage_progress


def records(*rows: tuple[int, int, float]) -> list[dict]:
    """(epoch, step, time) of records with a loss."""
    return [
        {"stage": "pretrain", "epoch": e, "step": s, "time": t, "loss": 1 / s} for e, s, t in rows
    ]


def test_nothing_recorded_is_no_progress():
    other = [{"stage": "finetune", "epoch": 1, "step": 1, "time": 0.0, "loss": 1.0}]
    assert stage_progress(other, "pretrain", 3) is None


def test_the_end_is_as_far_as_the_usual_pace_says():
    """Four steps per epoch, two seconds per step; an hour's break between two of them."""
    rows = records((1, 2, 4.0), (1, 4, 8.0), (2, 6, 3612.0), (2, 8, 3616.0), (3, 9, 3618.0))
    progress = stage_progress(rows, "pretrain", 5)
    assert progress.eta == pytest.approx(2.0 * (20 - 9))
    assert (progress.epoch, progress.epochs) == (3, 5)
    assert progress.loss == pytest.approx(1 / 9)


def test_within_the_first_epoch_the_end_is_not_known():
    assert stage_progress(records((1, 2, 4.0), (1, 3, 6.0)), "pretrain", 5).eta is None


def test_heldout_figures_are_no_steps():
    rows = records((1, 4, 8.0), (2, 8, 16.0))
    rows.append({"stage": "pretrain", "epoch": 2, "step": 8, "time": 20.0, "heldout_nme": 5.0})
    progress = stage_progress(rows, "pretrain", 2)
    assert progress.loss == pytest.approx(1 / 8)
    assert progress.eta == 0.0


def test_a_finite_loss_is_not_required():
    rows = records((1, 4, 8.0))
    rows[0]["loss"] = None
    assert stage_progress(rows, "pretrain", 2).loss is None
