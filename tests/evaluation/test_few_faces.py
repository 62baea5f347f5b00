"""Intervals of few faces hold: those of subsets, where percentiles alone would be too narrow."""

import csv
from pathlib import Path

import numpy as np
import pytest
from random_faces import annotations, predicted

from sesame_hpc.evaluation.bootstrap import few_face_intervals, intervals
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.subsets import wilson_interval
from sesame_hpc.stages.tables import write_figures


def test_the_mean_of_five_faces_is_covered_as_often_as_promised() -> None:
    """One bootstrap of 400 columns, each a draw of five faces around a mean of 0."""
    draws = np.random.default_rng(3).normal(size=(5, 400))

    def coverage(bounds: list[list[float] | None]) -> float:
        return float(np.mean([low <= 0.0 <= high for low, high in bounds]))

    assert coverage(intervals(draws)) < 0.88
    assert 0.91 <= coverage(few_face_intervals(draws)) <= 0.98


def test_with_many_faces_it_is_the_percentile_interval() -> None:
    draws = np.random.default_rng(3).normal(size=(2000, 2))
    for few, many in zip(few_face_intervals(draws), intervals(draws), strict=True):
        assert few == pytest.approx(many, abs=2e-3)


def test_one_face_has_no_interval_of_a_mean() -> None:
    assert few_face_intervals(np.ones((1, 3))) == [None] * 3


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341), (1, 1, 0.20655, 1)],
)
def test_wilson_interval_is_the_published_one(hits, count, low, high) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-5)


def test_subsets_carry_them_in_json_and_csv(tmp_path: Path) -> None:
    faces = annotations()
    found = figures(predicted(faces), faces).to_json()
    subset = found["subsets"]["blur"]
    low, high = subset["intervals"]["nme"]
    assert low < subset["nme"] < high
    low, high = subset["intervals"]["fr10"]
    assert 0.0 <= low <= subset["fr10"] <= high <= 100.0
    assert high > low, "no failure among a few faces does not mean that there are none"
    write_figures(found, None, tmp_path / "figures.csv")
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = {(row[0], row[1]): row[2:] for row in csv.reader(file)}
    assert list(map(float, rows["nme_of_subset", "blur"])) == [
        subset["nme"],
        *subset["intervals"]["nme"],
    ]
    assert ("intervals_of_subset", "blur") not in rows
