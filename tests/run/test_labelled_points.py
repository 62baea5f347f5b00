"""What points that are not labelled must leave known, and what is said where they do not."""

from dataclasses import replace

import numpy as np
import pytest
from missing_points import with_missing

from sesame_hpc.config import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.run.data_identity import data_identity, identity_differences
from sesame_hpc.run.labelled_points import check_points


@pytest.fixture(scope="module")
def table(faces) -> Annotations:
    return with_missing(read_annotations(faces, "wflw", "train"))


def divided(table: Annotations) -> tuple[Annotations, Annotations]:
    return table.select(np.arange(40)), table.select(np.arange(40, 48))


def without(table: Annotations, points: list[int]) -> Annotations:
    landmarks = table.landmarks.copy()
    landmarks[:, points] = np.nan
    return replace(table, landmarks=landmarks, visibility=None)


def test_points_that_some_face_has_suffice(table) -> None:
    train, heldout = divided(table)
    check_points(train, heldout, None)
    check_points(train, heldout, heldout)


def test_a_point_that_no_training_face_has_cannot_be_learned(table) -> None:
    train, heldout = divided(table)
    with pytest.raises(ValueError, match=r"^points 96 .*, 97 .* are labelled in none of the 40 "):
        check_points(without(train, [96, 97]), heldout, None)
    with pytest.raises(ValueError, match=r"^point 4 \(\w+\) is labelled in none"):
        check_points(without(train, [4]), heldout, None)
    with pytest.raises(ValueError, match=r"\.\.\. \(33 in all\) are"):
        check_points(without(train, list(range(33))), heldout, None)


def test_a_region_that_no_held_out_face_has_cannot_be_judged(table) -> None:
    train, heldout = divided(table)
    with pytest.raises(ValueError, match=r"no point of region pupils .* \(data\.heldout\)"):
        check_points(train, without(heldout, [96, 97]), None)
    check_points(train, heldout, without(heldout, [96, 97]))


@pytest.mark.parametrize("part", ["held-out", "test"])
def test_a_part_without_the_normaliser_cannot_be_measured(table, part) -> None:
    train, heldout = divided(table)
    lacking = without(heldout, [72])
    parts = (lacking, None) if part == "held-out" else (heldout, lacking)
    with pytest.raises(ValueError, match=rf"none of the 8 {part} faces has both points of the"):
        check_points(train, *parts)


def test_a_run_knows_which_points_were_occluded(table) -> None:
    def identity(table: Annotations):
        train, heldout = divided(table)
        parts = {"train": train, "heldout": heldout, "test": None}
        return data_identity(parts, BoxConfig(), "coco")

    seen = table.seen.copy()
    row, point = np.argwhere(seen == 2)[0]
    seen[row, point] = 1
    one, other = identity(table), identity(replace(table, visibility=seen))
    assert identity_differences(one, other) == ["training faces: other visibility"]
    for part in ("train", "heldout"):
        del one[part]["visibility"]
    assert identity_differences(one, other) == []
