"""Folders of images with `.pts` files: what is read from them, and how faults are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sesame_hpc.data.formats.readers import has_split, parse_annotations, read_annotations

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "lfpw68"
POINTS = np.round(np.random.default_rng(2).uniform(4, 60, (68, 2)), 3)
BODY = "".join(f"{x:.3f} {y:.3f}\n" for x, y in POINTS)
TEXT = "version: 1\nn_points: 68\n{\n" + BODY + "}\n"


def add_face(folder: Path, name: str, text: str | None = TEXT, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}{suffix}"), np.zeros((64, 64, 3), np.uint8))
    path = folder / f"{name}.pts"
    if text is not None:
        path.write_text(text)
    return path


def test_faces_are_sorted_and_moved_to_corner_based_pixels(tmp_path):
    for name, suffix in (("b", ".png"), ("c", ".jpeg"), ("a", ".jpg")):
        add_face(tmp_path, name, suffix=suffix)
    faces = read_annotations(tmp_path, "pts")
    assert faces.images == ("a.jpg", "b.png", "c.jpeg")
    assert faces.sample_ids.tolist() == [0, 1, 2]
    assert faces.sources[0] == f"{tmp_path / 'a.pts'}:1"
    assert (faces.scheme.name, faces.attributes.shape) == ("ibug68", (3, 0))
    np.testing.assert_allclose(faces.landmarks[2], POINTS - 0.5, rtol=0, atol=1e-12)
    tight = np.concatenate([POINTS.min(axis=0), POINTS.max(axis=0)]) - 0.5
    np.testing.assert_allclose(faces.boxes[1], tight, rtol=0, atol=1e-12)


def test_pixel_that_a_file_counts_as_the_first_has_its_centre_at_one_half(tmp_path):
    add_face(tmp_path, "a", TEXT.replace(f"{POINTS[0, 0]:.3f} {POINTS[0, 1]:.3f}", "1 1", 1))
    assert read_annotations(tmp_path, "pts").landmarks[0, 0].tolist() == [0.5, 0.5]


def test_loose_spelling_is_read(tmp_path):
    loose = TEXT.replace(": ", ":   ").replace("\n", " \r\n\r\n").replace(" ", "\t")
    add_face(tmp_path, "a").write_bytes(b"\xef\xbb\xbf" + loose.encode())
    np.testing.assert_allclose(read_annotations(tmp_path, "pts").landmarks[0], POINTS - 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("68", "5", 1), ":2: n_points is '5'; the scheme has 68"),
        (TEXT.replace("n_points: 68", "points 68"), ":2: 'points 68' where .*'n_points: 68'"),
        (TEXT.replace("n_points: 68\n", ""), ":2: '{' before 'n_points: 68'"),
        (TEXT.replace("{\n", ""), ":3: .* where .*'{' belongs"),
        ("version: 1\nn_points: 68\n", ":2: ends without the '{'"),
        (TEXT.replace("}\n", ""), ":71: ends without the '}'"),
        (TEXT.replace("}", "3 4\n}"), ":73: 69 points, but n_points is 68"),
        (TEXT + "3 4\n", ":73: '3 4' after the closing"),
        (TEXT.replace("{\n", "{\n7 8 9\n"), ":4: '7 8 9' is not a point; a point is two finite"),
        (TEXT.replace("{\n", "{\nx 8\n"), ":4: 'x 8' is not a point"),
        (TEXT.replace("{\n", "{\nnan 8\n"), ":4: 'nan 8' is not a point"),
        ("", ":1: is empty; takes version"),
        ("version: 1\nn_points: 68\n{\n" + "3 4\n" * 68 + "}", ": points 36 and 45 coincide"),
    ],
)
def test_faults_of_a_file_name_file_and_line(tmp_path, text, message):
    add_face(tmp_path, "good")
    path = add_face(tmp_path, "wrong", text)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(tmp_path, "pts")
    assert f"{path}:" in str(caught.value)
    assert "good.pts" not in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path):
    add_face(tmp_path, "a").write_bytes(b"version: 1\n\xfe\xff")
    with pytest.raises(ValueError, match=r"a.pts:2: byte 0xfe is not UTF-8 text"):
        read_annotations(tmp_path, "pts")


def test_unpaired_files_are_named_together(tmp_path):
    add_face(tmp_path, "good")
    add_face(tmp_path, "bare", None)
    (tmp_path / "lone.pts").write_text(TEXT)
    add_face(tmp_path, "twin", suffix=".jpg")
    add_face(tmp_path, "twin", suffix=".png")
    parsed = parse_annotations(tmp_path, "pts")
    (unlabelled,) = parsed.findings
    assert (unlabelled.check, unlabelled.place) == ("unlabelled", str(tmp_path / "bare.png"))
    with pytest.raises(ValueError, match="2 faults") as caught:
        parsed.require()
    message = str(caught.value)
    assert "lone.pts: has no image beside it (lone with .jpg, .jpeg, .jpe," in message
    assert "twin.png: shares its .pts file with twin.jpg" in message


def test_a_plain_folder_is_train_alone(tmp_path):
    add_face(tmp_path, "a")
    assert has_split(tmp_path, "pts", "train")
    assert not has_split(tmp_path, "pts", "test")
    with pytest.raises(FileNotFoundError, match=r"no test split: .*holds a.png, a.pts"):
        read_annotations(tmp_path, "pts", "test")


def test_folders_of_splits_are_used_where_they_exist(tmp_path):
    add_face(tmp_path / "train", "a")
    add_face(tmp_path / "test", "b")
    assert has_split(tmp_path, "pts", "train")
    assert has_split(tmp_path, "pts", "test")
    assert read_annotations(tmp_path, "pts", "train").images == ("a.png",)
    assert read_annotations(tmp_path, "pts", "test").images == ("b.png",)


def test_a_folder_without_faces_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    assert not has_split(tmp_path, "pts", "train")
    with pytest.raises(ValueError, match=r"no face: .*\.pts file .*holds notes.txt"):
        read_annotations(tmp_path, "pts")


def test_the_real_faces_load():
    if not SAMPLE.is_dir():
        pytest.skip(f"the sample faces {SAMPLE} are not on this machine")
    faces = read_annotations(SAMPLE, "pts", "train")
    assert (len(faces), faces.images[0]) == (805, "image_0001.jpg")
    np.testing.assert_allclose(faces.landmarks[0, 0], [91.668, 107.308], atol=1e-9)
    assert read_annotations(SAMPLE / "train", "pts").images == faces.images
