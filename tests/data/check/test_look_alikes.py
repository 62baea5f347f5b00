"""Copies of a photograph: found, kept on one side of the split, and recorded."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from format_files import TRIO, add_image

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.look_alikes import image_groups, look_alikes
from sesame_hpc.data.division import split_heldout
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack

LFPW = Path(__file__).parents[4] / "shared" / "data" / "lfpw68" / "train"
POINTS = np.array([[20.0, 20.0], [44.0, 20.0], [32.0, 44.0]])


@pytest.fixture
def faces(tmp_path) -> Annotations:
    """Six photographs, 0 and 1 of them again, larger, as a and b; b again as c."""
    names = [f"{number}.png" for number in range(6)]
    for number, name in enumerate(names):
        add_image(tmp_path, name, seed=number)
    for name, source in (("a.jpg", "0.png"), ("b.jpg", "1.png"), ("c.jpg", "b.jpg")):
        image = cv2.imread(str(tmp_path / source))
        larger = cv2.resize(image, (128, 128), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / name), larger)
        names.append(name)
    scales = np.array([2 if name.endswith("jpg") else 1 for name in names])
    boxes = np.array([10.0, 10.0, 54.0, 54.0]) * scales[:, None]
    return Annotations(
        scheme=TRIO,
        root=tmp_path,
        images=tuple(names),
        boxes=boxes,
        landmarks=POINTS * scales[:, None, None],
        attributes=np.zeros((9, 0), dtype=bool),
        attribute_names=(),
        sources=tuple(f"faces.csv:{row + 2}" for row in range(9)),
        sample_ids=np.arange(9),
    )


COPIES = {"0.png": "0.png", "a.jpg": "0.png"}
COPIES |= {"1.png": "1.png", "b.jpg": "1.png", "c.jpg": "1.png"}


def test_copies_are_found_in_files_and_packs(faces, tmp_path):
    assert look_alikes(faces, 2) == COPIES
    write_pack({"train": faces}, tmp_path / "pack", PackSettings())
    assert look_alikes(read_pack(tmp_path / "pack", "train"), 1) == COPIES


def test_images_that_have_not_changed_are_not_read_again(faces, tmp_path, monkeypatch):
    assert look_alikes(faces, 2) == COPIES
    monkeypatch.setattr("sesame_hpc.data.check.look_alikes.probe_tables", refuse)
    assert look_alikes(faces, 2) == COPIES
    with pytest.raises(AssertionError, match="read again"):
        look_alikes(faces.select(np.arange(8)), 2)
    add_image(tmp_path, "5.png", seed=99)
    with pytest.raises(AssertionError, match="read again"):
        look_alikes(faces, 2)


def refuse(*_: object) -> None:
    raise AssertionError("read again")


def test_two_faces_on_one_image_are_told_apart_by_their_place(faces):
    twice = faces.select(np.arange(3))
    images = (twice.images[0], twice.images[0], twice.images[2])
    moved = twice.landmarks + np.array([0.0, 12.0, 0.0])[:, None, None]
    assert look_alikes(replace(twice, images=images, landmarks=moved), 1) == {}


def test_an_image_that_cannot_be_read_looks_like_none(faces):
    faces.image_path(6).write_bytes(b"no image")
    assert "a.jpg" not in look_alikes(faces, 1)


@pytest.mark.parametrize("seed", range(8))
def test_copies_never_straddle_the_split(faces, tmp_path, seed):
    groups = image_groups(faces, look_alikes(faces, 2))
    parts = split_heldout(faces, 2, seed, groups)
    train, heldout = ({COPIES.get(image, image) for image in part.images} for part in parts)
    assert not train & heldout
    assert len(parts[0]) + len(parts[1]) == 9
    assert 2 <= len(parts[1]) <= 4


def test_copies_of_real_photographs_stay_together(tmp_path):
    if not LFPW.is_dir():
        pytest.skip(f"the faces {LFPW} are not on this machine")
    faces = read_annotations(LFPW, "pts")
    groups = dict(zip(faces.images, image_groups(faces, look_alikes(faces, 2)), strict=True))
    train, heldout = split_heldout(faces, 105, 0)
    assert {groups[image] for image in train.images} & {groups[image] for image in heldout.images}
    train, heldout = split_heldout(faces, 105, 0, tuple(groups[image] for image in faces.images))
    assert not {groups[i] for i in train.images} & {groups[i] for i in heldout.images}
    assert 105 <= len(heldout) <= 115
