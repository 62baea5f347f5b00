"""Faces that are covered in part, and what networks then find."""

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.occluded import SIDES, cover, main, rectangle_on

IMAGE = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
OTHER = np.full((7, 5, 3), 255, np.uint8)


def test_a_rectangle_lies_on_the_face_and_in_the_image() -> None:
    box = np.array([10.0, 5.0, 50.0, 35.0])
    random = np.random.default_rng(0)
    for _ in range(200):
        top, bottom, left, right = rectangle_on(box, IMAGE, random)
        assert 0 <= top < bottom <= 40
        assert 0 <= left < right <= 60
        assert right - left <= SIDES[1] * 40 + 2
        assert bottom - top <= SIDES[1] * 30 + 2
        assert left <= 50
        assert right >= 10


def test_a_rectangle_at_the_corner_of_the_image_or_beyond_has_a_pixel() -> None:
    random = np.random.default_rng(0)
    for box in ([0.0, 0, 0.5, 0.5], [59.5, 39.5, 60, 40], [-9, -9, -5, -5], [70, 50, 80, 60]):
        top, bottom, left, right = rectangle_on(np.array(box), IMAGE, random)
        assert IMAGE[top:bottom, left:right].size


@pytest.mark.parametrize("kind", ["noise", "face"])
def test_only_the_rectangle_changes(kind: str) -> None:
    place = (3, 20, 10, 30)
    found = cover(IMAGE, place, kind, OTHER, np.random.default_rng(0))
    inside = np.zeros((40, 60), bool)
    inside[3:20, 10:30] = True
    assert np.array_equal(found[~inside], IMAGE[~inside])
    if kind == "face":
        assert (found[inside] == 255).all()
    else:
        assert abs(found[inside].mean() - 127.5) < 10
        assert 50 < found[inside].std() < 75


def test_nothing_covers_nothing() -> None:
    random = np.random.default_rng(0)
    assert cover(IMAGE, (0, 40, 0, 60), "nothing", OTHER, random) is IMAGE


def test_a_network_beside_itself_differs_by_nothing(
    finished: tuple[Path, Path, str], faces: Path, tmp_path: Path
) -> None:
    run = finished[1]
    for arm in ("one", "same"):
        (tmp_path / "runs" / arm).mkdir(parents=True)
        (tmp_path / "runs" / arm / "seed-0").symlink_to(run)
    table = tmp_path / "rows.csv"
    arms = ["--arms", "same", "--control", "one"]
    main([str(tmp_path), *arms, "--data", str(faces), "--csv", str(table)])
    rows = list(csv.DictReader(table.open()))
    assert [row["cover"] for row in rows] == ["nothing"] * 3 + ["noise"] * 3 + ["face"] * 3
    assert [row["part"] for row in rows[:3]] == ["all", "covered", "beside"]
    assert all(float(row["difference"]) == 0 for row in rows)
    by_cover = {row["cover"]: float(row["nme"]) for row in rows if row["part"] == "all"}
    assert len(set(by_cover.values())) == 3  # what is covered is seen
