"""WFLW folders: what is read from them, and how faults are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sesame_hpc.data.formats.readers import has_split, read_annotations
from sesame_hpc.data.formats.wflw import ATTRIBUTES, list_path
from sesame_hpc.schemes import Scheme

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "wflw_sample"
IMAGES = ("0--Parade/one.jpg", "0--Parade/two.jpg")


def face_fields(image: str = IMAGES[0], landmarks: int = 98) -> list[str]:
    numbers = np.round(np.random.default_rng(1).uniform(-5, 70, 2 * landmarks), 6)
    return [*(f"{number:.6f}" for number in numbers), "10", "12", "50", "60", *"010001", image]


def write_list(
    root: Path, lines: list[list[str]], split: str = "train", landmarks: int = 98
) -> Path:
    path = root / list_path(split, landmarks)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(" ".join(line) + " \n" for line in lines))
    return path


@pytest.fixture
def root(tmp_path):
    for image in IMAGES:
        path = tmp_path / "WFLW_images" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((64, 64, 3), 128, np.uint8))
    return tmp_path


def changed(position: int, field: str) -> list[str]:
    fields = face_fields()
    fields[position] = field
    return fields


def test_a_face_is_read_as_it_stands(root):
    fields = face_fields(IMAGES[1])
    path = write_list(root, [face_fields(), [], fields])
    faces = read_annotations(root, "wflw")
    assert (len(faces), faces.scheme.name, faces.attribute_names) == (2, "wflw98", ATTRIBUTES)
    np.testing.assert_array_equal(faces.landmarks[1].ravel(), np.array(fields[:196], np.float64))
    assert faces.boxes[1].tolist() == [10, 12, 50, 60]
    assert faces.attributes[1].tolist() == [False, True, False, False, False, True]
    assert faces.sources == (f"{path}:1", f"{path}:3")
    assert faces.sample_ids.tolist() == [0, 1]
    assert faces.image_path(1) == root / "WFLW_images" / IMAGES[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            face_fields()[:-1],
            "has 206 fields; a face has 207 fields .196 coordinates, 4 of the box",
        ),
        ([*face_fields(), "more"], "has 208 fields; a face has 207 fields"),
        (changed(3, "12,5"), "field 4 is '12,5'; fields 1 to 200 .* are finite numbers"),
        (changed(195, "nan"), "field 196 is 'nan'; .* finite numbers"),
        (changed(199, "-inf"), "field 200 is '-inf'; .* finite numbers"),
        (
            changed(196, "50"),
            r"empty box \(x_min 50, y_min 12, x_max 50, y_max 60\); x_max > x_min",
        ),
        (changed(199, "11"), "empty box .*y_max > y_min"),
        (changed(201, "2"), "attribute expression is '2'; it is 0 or 1"),
        (changed(206, "0--Parade/three.jpg"), "no image .*three.jpg"),
    ],
)
def test_faults_of_a_line_name_file_and_line(root, fields, message):
    path = write_list(root, [face_fields(), fields])
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(root, "wflw")
    assert f"{path}:2: " in str(caught.value)


def test_coinciding_eye_corners_are_a_fault(root):
    fields = face_fields()
    fields[120:122] = fields[144:146]
    write_list(root, [fields])
    with pytest.raises(ValueError, match=r"train.txt:1: points 60 and 72 coincide"):
        read_annotations(root, "wflw")


def test_one_message_names_ten_faults_and_counts_all(root):
    path = write_list(root, [face_fields()[:5]] * 14)
    with pytest.raises(ValueError, match="14 faults") as caught:
        read_annotations(root, "wflw")
    message = str(caught.value)
    assert message.count("has 5 fields") == 10
    assert f"{path}:10: " in message
    assert "and 4 more" in message


def test_files_without_faces_or_text_are_named(root):
    path = write_list(root, [])
    with pytest.raises(ValueError, match=r"train.txt: holds no face; each line is one of 207"):
        read_annotations(root, "wflw")
    path.write_bytes(" ".join(face_fields()).encode() + b"\nsmile\xff.jpg\n")
    with pytest.raises(ValueError, match=r"train.txt:2: byte 0xff is not UTF-8 text"):
        read_annotations(root, "wflw")


def test_missing_lists_and_folders_say_what_exists(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"looked for .*train.txt; .*holds WFLW_images/$"):
        read_annotations(root, "wflw")
    write_list(root, [face_fields()])
    with pytest.raises(FileNotFoundError, match=r"no test list .*holds list_98pt_rect_attr_train"):
        read_annotations(root, "wflw", "test")
    bare = tmp_path / "bare"
    write_list(bare, [face_fields()])
    with pytest.raises(
        FileNotFoundError, match=r"no folder .*WFLW_images; .*holds WFLW_annotations/"
    ):
        read_annotations(bare, "wflw")


def test_splits_are_found_in_the_folder_or_its_parent(root):
    write_list(root, [face_fields()], "test")
    assert has_split(root, "wflw", "test")
    assert not has_split(root, "wflw", "train")
    parent = root / "parent"
    parent.mkdir()
    (parent / "WFLW").symlink_to(root, target_is_directory=True)
    assert has_split(parent, "wflw", "test")
    assert len(read_annotations(parent, "wflw", "test")) == 1


def test_another_scheme_reads_its_own_list(root):
    scheme = Scheme(
        name="pair",
        points=("left", "right", "chin"),
        regions={"eyes": (0, 1), "jaw": (2,)},
        mirror=(1, 0, 2),
        normaliser=(0, 1),
        edges=(),
    )
    write_list(root, [face_fields(landmarks=3)], landmarks=3)
    faces = read_annotations(root, "wflw", scheme=scheme)
    assert faces.landmarks.shape == (1, 3, 2)
    assert has_split(root, "wflw", "train", scheme)
    assert not has_split(root, "wflw", "train")


def test_as_many_faces_as_wflw_has_are_read(root):
    write_list(root, [face_fields()] * 7500)
    assert len(read_annotations(root, "wflw")) == 7500


def test_the_official_sample_loads():
    if not SAMPLE.is_dir():
        pytest.skip(f"the sample faces {SAMPLE} are not on this machine")
    faces = read_annotations(SAMPLE, "wflw")
    assert (len(faces), len(set(faces.images)), faces.attributes.any()) == (4, 2, False)
    assert faces.boxes[0].tolist() == [432, 114, 533, 215]
    assert not has_split(SAMPLE, "wflw", "test")
