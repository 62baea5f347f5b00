"""The table of faces, and its division into training and held-out faces."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.division import split_heldout
from sesame_hpc.data.formats.readers import has_split, read_annotations
from sesame_hpc.schemes import load_scheme


def table(images: list[str]) -> Annotations:
    faces = len(images)
    rng = np.random.default_rng(3)
    return Annotations(
        scheme=load_scheme("ibug68"),
        root=Path("faces"),
        images=tuple(images),
        boxes=rng.uniform(size=(faces, 4)),
        landmarks=rng.uniform(size=(faces, 68, 2)),
        attributes=rng.uniform(size=(faces, 2)) > 0.5,
        attribute_names=("blur", "pose"),
        sources=tuple(f"list.txt:{row + 1}" for row in range(faces)),
        sample_ids=np.arange(faces),
    )


def group_table(images: int = 40) -> Annotations:
    return table([f"{image}.jpg" for image in range(images) for _ in range(1 + image % 3)])


def test_arrays_are_read_only_copies():
    boxes = np.zeros((2, 4))
    faces = replace(table(["a.jpg", "b.jpg"]), boxes=boxes)
    boxes[:] = 7
    assert not faces.boxes.any()
    for array in (faces.boxes, faces.landmarks, faces.attributes, faces.sample_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "boxes",
            np.zeros((2, 4), np.float32),
            r"boxes: is float32 \[2, 4\]; takes float64 \[2, 4\]",
        ),
        ("boxes", np.zeros((3, 4)), r"boxes: is float64 \[3, 4\]; takes float64 \[2, 4\]"),
        ("landmarks", np.zeros((2, 98, 2)), r"landmarks: .*takes float64 \[2, 68, 2\]"),
        ("attributes", np.zeros((2, 2)), r"attributes: is float64 .*takes bool \[2, 2\]"),
        ("attributes", [[True]], r"attributes: is list; takes bool"),
        ("sample_ids", np.zeros(2, np.int64), "sample_ids: some repeat"),
        ("sources", ("only:1",), "sources: 1 for 2 images"),
    ],
)
def test_wrong_fields_are_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        replace(table(["a.jpg", "b.jpg"]), **{field: value})


def test_select_keeps_rows_together():
    faces = table(["a.jpg", "b.jpg", "c.jpg"])
    chosen = faces.select(np.array([2, 0]))
    assert (chosen.images, chosen.sources) == (("c.jpg", "a.jpg"), ("list.txt:3", "list.txt:1"))
    assert chosen.sample_ids.tolist() == [2, 0]
    for field in ("boxes", "landmarks", "attributes"):
        np.testing.assert_array_equal(getattr(chosen, field), getattr(faces, field)[[2, 0]])
    assert chosen.image_path(0) == Path("faces/c.jpg")


def test_select_takes_masks_and_refuses_repeats():
    faces = table(["a.jpg", "b.jpg", "c.jpg"])
    assert faces.select(np.array([True, False, True])).sample_ids.tolist() == [0, 2]
    assert len(faces.select(np.array([], dtype=np.int64))) == 0
    with pytest.raises(ValueError, match=r"mask of shape \(2,\) for 3 faces"):
        faces.select(np.array([True, False]))
    with pytest.raises(ValueError, match="repeat"):
        faces.select(np.array([1, 1]))


@pytest.mark.parametrize("count", [1, 10, 70])
def test_heldout_is_grouped_complete_and_large_enough(count):
    faces = group_table()
    train, heldout = split_heldout(faces, count, seed=5)
    assert count <= len(heldout) <= count + 2
    assert not set(train.images) & set(heldout.images)
    together = np.concatenate([train.sample_ids, heldout.sample_ids])
    assert sorted(together) == faces.sample_ids.tolist()
    assert np.all(np.diff(train.sample_ids) > 0)
    assert np.all(np.diff(heldout.sample_ids) > 0)


def test_heldout_depends_on_the_seed_and_the_images_alone():
    faces = group_table()
    chosen = set(split_heldout(faces, 10, seed=5)[1].images)
    shuffled = faces.select(np.random.default_rng(0).permutation(len(faces)))
    assert set(split_heldout(shuffled, 10, seed=5)[1].images) == chosen
    assert set(split_heldout(faces, 10, seed=6)[1].images) != chosen


def test_heldout_leaves_images_to_train_on():
    faces = table(["a.jpg", "a.jpg", "b.jpg", "b.jpg"])
    assert len(split_heldout(faces, 2, seed=0)[0]) == 2
    with pytest.raises(ValueError, match=r"heldout: 3 of 4 faces on 2 images .* at most 2 can"):
        split_heldout(faces, 3, seed=0)
    with pytest.raises(ValueError, match="at most 0"):
        split_heldout(table(["a.jpg"]), 1, seed=0)
    with pytest.raises(ValueError, match="heldout: 0 faces; takes at least 1"):
        split_heldout(faces, 0, seed=0)


def test_unknown_formats_splits_and_roots_are_named(tmp_path):
    with pytest.raises(ValueError, match="format is 'voc'; takes pack, wflw, coco, hrnet"):
        read_annotations(tmp_path, "voc")
    with pytest.raises(ValueError, match="split is 'val'; takes train or test"):
        has_split(tmp_path, "pts", "val")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"data root .*absent is not a directory"):
        read_annotations(tmp_path / "absent", "wflw")


def test_selected_faces_read_landmarks_of_the_table_until_all_are_asked_for():
    faces = table([f"{number}.jpg" for number in range(9)])
    chosen = faces.select(np.array([7, 2, 5])).select(np.array([True, False, True]))
    assert "landmarks" not in vars(chosen)
    np.testing.assert_array_equal(chosen.points(np.array([1])), faces.landmarks[[5]])
    blocks = [points for _, points in chosen.blocks()]
    np.testing.assert_array_equal(np.concatenate(blocks), faces.landmarks[[7, 5]])
    assert "landmarks" not in vars(chosen)
    np.testing.assert_array_equal(chosen.landmarks, faces.landmarks[[7, 5]])
    np.testing.assert_array_equal(chosen.seen, faces.seen[[7, 5]])
    with pytest.raises(ValueError, match="read-only"):
        chosen.landmarks[0] = 0


def test_selected_faces_keep_which_points_are_seen():
    faces = table(["a.jpg", "b.jpg"])
    seen = np.array(faces.seen)
    seen[1, 0] = 1
    marked = replace(faces, visibility=seen).select(np.array([1, 0]))
    assert replace(marked, root=Path("elsewhere")).seen.tolist() == seen[::-1].tolist()


def test_selected_faces_are_pickled_without_the_table():
    faces = table([f"{number}.jpg" for number in range(2000)])
    one = pickle.dumps(faces.select(np.array([5])))
    assert len(one) < len(pickle.dumps(faces)) / 20
    again = pickle.loads(one)
    assert again.images == ("5.jpg",)
    np.testing.assert_array_equal(again.landmarks, faces.landmarks[[5]])


def test_blocks_are_all_faces_in_their_order(monkeypatch):
    monkeypatch.setattr("sesame_hpc.data.annotations._ROWS_AT_ONCE", 4)
    faces = table([f"{number}.jpg" for number in range(9)])
    assert [(rows.start, rows.stop) for rows, _ in faces.blocks()] == [(0, 4), (4, 8), (8, 9)]
    together = np.concatenate([points for _, points in faces.blocks()])
    np.testing.assert_array_equal(together, faces.landmarks)
