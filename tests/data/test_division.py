"""Which training faces keep their labels."""

import numpy as np
import pytest
from five_points import faces as table

from sesame_hpc.data.division import split_heldout, split_labelled


def groups_of_three(count: int = 60):
    """Faces on images of their own, three of a group."""
    names = [f"{number:02d}.jpg" for number in range(count)]
    return table(names), tuple(f"group {number // 3}" for number in range(count))


def test_a_smaller_number_takes_a_part_of_what_a_larger_one_takes():
    faces, groups = groups_of_three()
    taken: set[int] = set()
    for labels in (1, 5, 0.2, 30, 45, 60, 1.0):
        labelled, rest = split_labelled(faces, labels, seed=7, groups=groups)
        asked = round(labels * 60) if isinstance(labels, float) else labels
        assert asked <= len(labelled) < asked + 3
        now = set(labelled.sample_ids.tolist())
        assert taken <= now
        assert now | set(rest.sample_ids.tolist()) == set(range(60))
        assert len(now) + len(rest) == 60
        taken = now


def test_groups_keep_their_labels_together_and_without_groups_the_number_is_exact():
    faces, groups = groups_of_three()
    labelled, rest = split_labelled(faces, 20, seed=7, groups=groups)
    assert {groups[row] for row in labelled.sample_ids}.isdisjoint(
        groups[row] for row in rest.sample_ids
    )
    assert [len(split_labelled(faces, count, seed=7)[0]) for count in (1, 20, 60)] == [1, 20, 60]


def test_the_others_have_no_labels_but_are_else_as_they_were():
    faces, _ = groups_of_three()
    labelled, rest = split_labelled(faces, 20, seed=7)
    assert labelled.labelled.all()
    assert not rest.labelled.any()
    assert not rest.seen.any()
    assert np.array_equal(rest.boxes, faces.boxes[rest.sample_ids])
    assert np.array_equal(labelled.landmarks, faces.landmarks[labelled.sample_ids])


def test_the_draw_follows_from_the_seed_and_the_names():
    faces, _ = groups_of_three()
    one = set(split_labelled(faces, 20, seed=7)[0].images)
    shuffled = faces.select(np.random.default_rng(0).permutation(60))
    assert set(split_labelled(shuffled, 20, seed=7)[0].images) == one
    assert set(split_labelled(faces, 20, seed=8)[0].images) != one
    heldout = set(split_heldout(faces, 20, seed=7)[1].images)
    assert one != heldout, "another draw than that of the held-out faces"


def test_more_labels_than_faces_are_refused():
    faces, _ = groups_of_three()
    with pytest.raises(ValueError, match=r"data\.labels: 61 of 60 training faces cannot keep"):
        split_labelled(faces, 61, seed=0)
