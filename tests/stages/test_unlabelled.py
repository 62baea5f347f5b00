"""Faces of `data.unlabelled`: which there are, where they are, and what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from constant_detector import SIDE, write_detector

from sesame_hpc.config import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.inference.detector_weights import WEIGHTS_VARIABLE
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.unlabelled import FIRST_ID, box_file, read_unlabelled

SHARED = Path(__file__).parents[3] / "shared" / "data" / "unlabelled"
SCHEME = load_scheme("ibug68")


def write_image(path: Path, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (height, width, 3))
    assert cv2.imwrite(str(path), pixels.astype(np.uint8))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.png", "sub/c.jpg", ".hidden.jpg"):
        write_image(tmp_path / "images" / name)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    return tmp_path / "images"


def read(images: Path, run: Path | None = None, **data: Any) -> Annotations:
    settings = DataConfig(root=images, unlabelled=images, **data)
    found = read_unlabelled(settings, SCHEME, RunFolder(run or images.parent / "run"))
    assert found is not None
    return found


def test_without_boxes_each_image_is_a_face(images):
    faces = read(images)
    assert faces.images == ("a.jpg", "b.png", "sub/c.jpg")
    assert faces.boxes.tolist() == [[0, 0, 40, 30]] * 3
    assert not faces.labelled.any()
    assert faces.landmarks.shape == (3, 68, 2)
    assert faces.sample_ids.tolist() == [FIRST_ID, FIRST_ID + 1, FIRST_ID + 2]


def test_there_are_none_where_none_are_asked_for(images):
    assert read_unlabelled(DataConfig(root=images), SCHEME, RunFolder(images)) is None


BOXES = "image,x_min,y_min,x_max,y_max\nsub/c.jpg,1,2,21.5,22\na.jpg,0,0,10,10\na.jpg,9,9,30,30\n"


def test_boxes_say_which_faces_there_are_and_whole_overrules_them(images):
    (images / "boxes.csv").write_text(BOXES)
    faces = read(images)
    assert faces.images == ("a.jpg", "a.jpg", "sub/c.jpg")
    assert faces.boxes.tolist() == [[0, 0, 10, 10], [9, 9, 30, 30], [1, 2, 21.5, 22]]
    assert faces.sources[2] == f"{images / 'boxes.csv'}:2"
    assert len(read(images, unlabelled_boxes="whole")) == 3
    assert read(images, unlabelled_boxes="whole").images[1] == "b.png"


def test_boxes_may_be_a_json_file_elsewhere(images, tmp_path):
    box = {"image": "b.png", "x_min": 1, "y_min": 1, "x_max": 9, "y_max": 8}
    (tmp_path / "mine.json").write_text(json.dumps([box]))
    faces = read(images, unlabelled_boxes=str(tmp_path / "mine.json"))
    assert (faces.images, faces.boxes.tolist()) == (("b.png",), [[1, 1, 9, 8]])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("gone.jpg,0,0,10,10", r"boxes\.csv: gone\.jpg is not an image of "),
        ("b.png,0,0,ten,10", r"boxes\.csv:5: x_max is 'ten'; takes a number of pixels"),
        ("b.png,50,40,60,50", r"boxes\.csv:5: .*lies outside the image of 40 x 30 pixels"),
        ("b.png,0.1,0.1,0.9,0.9", r"boxes\.csv:5: .*in pixels, not in fractions"),
    ],
)
def test_a_box_that_cannot_be_used_is_named_or_left_out(images, row, problem):
    (images / "boxes.csv").write_text(f"{BOXES}{row}\n")
    with pytest.raises(ValueError, match=problem) as error:
        read(images)
    assert "data.on_error=skip" in str(error.value)
    faces = read(images, on_error="skip", max_skipped=0.5)
    assert faces.images == ("a.jpg", "a.jpg", "sub/c.jpg")
    other = row.replace("gone", "lost").replace(",60,", ",61,").replace("0.9,", "0.8,")
    (images / "boxes.csv").write_text(f"{BOXES}{row}\n{other}\n")
    with pytest.raises(ValueError, match=r"data\.max_skipped \(0\.01\) allows"):
        read(images, on_error="skip")


def test_an_image_that_cannot_be_read_is_named_or_left_out(images):
    (images / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.png: .*is not an image that is read"):
        read(images)
    assert read(images, on_error="skip", max_skipped=0.5).images == ("a.jpg", "sub/c.jpg")


def test_what_is_missing_is_named(images, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.unlabelled: .*gone is not a directory"):
        read(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"unlabelled_boxes: .*gone\.csv is not a file"):
        read(images, unlabelled_boxes=str(images / "gone.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"data\.unlabelled: .*empty holds no image"):
        read(tmp_path / "empty")


def test_detected_boxes_are_those_that_the_run_remembers(images, tmp_path, monkeypatch):
    for name in ("a.jpg", "b.png", "sub/c.jpg"):
        write_image(images / name, SIDE, SIDE)
    write_detector(tmp_path / "yunet.onnx")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "yunet.onnx"))
    run = RunFolder(tmp_path / "run")
    found = read(images, run.path, unlabelled_boxes="yunet")
    assert found.images == ("a.jpg", "b.png", "sub/c.jpg")
    assert found.boxes[0] == pytest.approx([40, -32 + 0.26 * 96, 104, 64], abs=0.1)
    moved = box_file(found).replace(b"a.jpg,4", b"a.jpg,5")
    for has_progress in (False, True):
        run.stage("preliminary").mkdir(parents=True, exist_ok=True)
        run.boxes_file.write_bytes(moved)
        if has_progress:
            (run.stage("preliminary") / "latest.json").write_text("{}")
        again = read(images, run.path, unlabelled_boxes="yunet")
        assert (again.boxes[0, 0] > 45) == has_progress
        assert np.array_equal(again.boxes[1:], found.boxes[1:])
    run.boxes_file.unlink()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "gone.onnx"))
    write_image(images / "d.jpg", SIDE, SIDE)
    with pytest.raises(FileNotFoundError, match="sesame get yunet"):
        read(images, run.path, unlabelled_boxes="yunet")


def test_real_frames_have_a_face_each():
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not on this machine")
    faces = read(SHARED)
    assert len(faces) == len(set(faces.images)) == 3459
    assert (faces.boxes[:, 2:] - faces.boxes[:, :2]).min() >= 30
