"""The runs over the batch size: as many samples each, on the faces that training has."""

from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.training.large_batch import plan


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 faces of 68 points."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for index in range(40):
        cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, 256, (64, 64, 3)))
        points = "\n".join(f"{x:.1f} {y:.1f}" for x, y in rng.uniform(10, 54, (68, 2)))
        text = f"version: 1\nn_points: 68\n{{\n{points}\n}}\n"
        (folder / f"{index}.pts").write_text(text, encoding="utf-8")
    return folder


def options(data: Path, *settings: str) -> Namespace:
    stage = ["stages.preliminary.batch_size=5", "stages.preliminary.epochs=20"]
    faces = ["data.heldout=0.25", "data.heldout_group=image"]
    return Namespace(
        data=data,
        preset="w300_small",
        settings=[*faces, *stage, *settings],
        samples=1.0,
        power=1.0,
        betas=[0.7, 0.95],
    )


def test_each_batch_size_sees_the_samples_of_the_preset(data: Path) -> None:
    own, larger = (plan(options(data), batch, seed=0) for batch in (5, 15))
    assert (own.row.steps, larger.row.steps) == (120, 40)  # 600 samples of 30 faces
    assert larger.row.lr == pytest.approx(3 * own.row.lr)
    assert (own.row.beta1, larger.row.beta1) == (0.9, 0.7)
    assert "stages.preliminary.epochs=20" in larger.settings
    assert "stages.preliminary.batch_size=15" in larger.settings


def test_the_row_says_the_warm_up_that_the_run_has(data: Path) -> None:
    rows = [
        plan(options(data, f"stages.preliminary.warmup={warmup}"), batch, seed=0).row
        for warmup in (0.0, 0.3)
        for batch in (5, 15)
    ]
    assert [row.warmup_steps for row in rows] == [0, 4, 36, 12]


def test_a_batch_larger_than_the_data_set_is_an_error(data: Path) -> None:
    with pytest.raises(ValueError, match="--batches 64: there are only 30 faces to train on"):
        plan(options(data), 64, seed=0)
