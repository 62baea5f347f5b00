"""COCO keypoint files: what is read from them, and how faults are named."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from format_files import TRIO, add_image

from sesame_hpc.data.formats.readers import has_split, parse_annotations, read_annotations

CONTENT = {
    "images": [{"id": 7, "file_name": "one.png", "width": 64, "height": 64}],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "keypoints": [20.25, 30, 2, 44, 30, 1, 32, 50, 2],
            "bbox": [10, 12, 44, 48],
            "attributes": {"blur": 1},
        }
    ],
    "categories": [{"id": 1, "name": "face", "keypoints": ["left", "right", "chin"]}],
}


TWO_OF_ONE_ID = [*CONTENT["images"], {"id": 7, "file_name": "two.png"}]


def changed(*keys, value) -> dict:
    """`CONTENT` with the entry under `keys` replaced; None takes it away."""
    content = copy.deepcopy(CONTENT)
    place: Any = content
    for key in keys[:-1]:
        place = place[key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return content


@pytest.fixture
def root(tmp_path):
    add_image(tmp_path, "images/one.png")
    (tmp_path / "annotations").mkdir()
    return tmp_path


def write(root: Path, content: object, name: str = "faces_train.json") -> Path:
    path = root / "annotations" / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def read(root: Path):
    return read_annotations(root, "coco", scheme=TRIO)


def test_pixel_centres_become_corner_based(root):
    path = write(root, CONTENT)
    faces = read(root)
    assert faces.landmarks[0].tolist() == [[20.75, 30.5], [44.5, 30.5], [32.5, 50.5]]
    assert faces.boxes[0].tolist() == [10.5, 12.5, 54.5, 60.5]
    assert (faces.attribute_names, faces.attributes[0].tolist()) == (("blur",), [True])
    assert faces.sources == (f"{path}:annotations[0]",)
    assert faces.image_path(0) == root / "images" / "one.png"
    assert has_split(root, "coco", "train")
    assert not has_split(root, "coco", "test")


def test_what_is_optional_may_be_missing(root):
    content = changed("annotations", 0, "bbox", value=None)
    del content["annotations"][0]["attributes"], content["categories"]
    write(root, content, "train.json")
    faces = read(root)
    assert faces.boxes[0].tolist() == [20.75, 30.5, 44.5, 50.5]
    assert faces.attribute_names == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n]", "json:2: is not JSON: "),
        ("[1]", "json: holds no object"),
        ("[" * 100_000, "json: is not a COCO file: nested too deeply"),
        ("[" + "9" * 5000 + "]", "json: is not JSON: .*digits"),
        (changed("images", value=None), "json:images: is not a list"),
        (changed("images", 0, "id", value=[1]), r"images\[0\]: an image has an `id`"),
        (changed("images", value=TWO_OF_ONE_ID), r"images\[1\]: id 7 is also that of one"),
        (changed("annotations", 0, value=5), r"annotations\[0\]: is not an object"),
        (changed("annotations", 0, "image_id", value=8), "image_id is 8, which is the id of no"),
        (
            changed("annotations", 0, "keypoints", value=[1]),
            "is a list of 1; takes 9 numbers: x, y, v",
        ),
        (changed("annotations", 0, "keypoints", 3, value="4"), r"keypoints\[3\] is '4'; it takes"),
        (changed("annotations", 0, "keypoints", 0, value=1e99), r"keypoints\[0\] is 1e\+99"),
        (changed("annotations", 0, "keypoints", 5, value=3), "v is 3; it is 0 .*, 1 .* or 2"),
        (changed("annotations", 0, "bbox", 2, value=0), r"empty box \(x_min 10.5"),
        (changed("annotations", 0, "bbox", value=[1, 2]), "`bbox` is not a list of four"),
        (changed("annotations", 0, "attributes", value=[1]), "is not a mapping of names"),
        (changed("categories", 0, "keypoints", value=["a", "b"]), "names 2 keypoints; .* has 3"),
        (
            changed("categories", 0, "keypoints", value=["right", "nose", "chin"]),
            "has point 'right' at 0, where scheme trio has 'left', and 'nose', which the scheme",
        ),
        (
            changed("annotations", 0, "category_id", value=9),
            r"annotations\[0\]: category_id is 9, which is the id of no category; `categories` has "
            r"1 \('face'\)",
        ),
        (changed("annotations", 0, "category_id", value=[1]), r"category_id is \[1\], which"),
        (changed("images", 0, "file_name", value="x" * 5000), "no image"),
        (changed("annotations", value=[]), "holds no face of scheme trio"),
    ],
)
def test_faults_are_named(root, content, message):
    path = write(root, content)
    with pytest.raises(ValueError, match=message) as caught:
        read(root)
    assert str(path) in str(caught.value)


def with_attributes(*attributes: dict) -> dict:
    content = copy.deepcopy(CONTENT)
    face = content["annotations"][0]
    content["annotations"] = [{**face, "id": i, "attributes": a} for i, a in enumerate(attributes)]
    return content


def test_attributes_that_are_not_yes_or_no_are_left_out(root):
    """As CVAT writes them: texts, angles, and its own bookkeeping."""
    cvat = {"occluded": True, "track_id": 0, "keyframe": True, "rotation": 0.0, "name": "Anna"}
    write(root, with_attributes(cvat, {**cvat, "occluded": "false", "track_id": 1}, {}))
    parsed = parse_annotations(root, "coco", scheme=TRIO)
    assert parsed.require().attribute_names == ("occluded",)
    assert parsed.faces.attributes.tolist() == [[True], [False], [False]]
    left = [each.message for each in parsed.findings if each.check == "attribute-left-out"]
    assert [text.split()[1] for text in left] == ["track_id", "keyframe", "rotation", "name"]
    (absent,) = (each for each in parsed.findings if each.check == "attribute-absent")
    assert "occluded is given for 2 of 3 faces; it counts as 0 for the other 1" in absent.message


def test_a_value_that_is_not_yes_or_no_among_others_is_a_fault(root):
    write(root, with_attributes({"blur": 1}, {"blur": 2}, {"blur": 0}))
    with pytest.raises(ValueError, match=r"annotations\[1\]: attribute blur is 2; it is 0 or 1"):
        read(root)


def test_which_file_is_meant_must_be_clear(root):
    with pytest.raises(FileNotFoundError, match=r"looked for annotations/train.json"):
        read(root)
    write(root, CONTENT, "a_train.json")
    write(root, CONTENT, "b_train.json")
    with pytest.raises(
        ValueError, match=r"several train splits .*a_train.json, annotations/b_train.json"
    ):
        read(root)
    write(root, CONTENT, "train.json")
    assert len(read(root)) == 1


@pytest.mark.parametrize("key", ["7", 7.0, 7])
def test_an_id_is_the_same_as_a_number_and_as_text(root, key):
    content = changed("annotations", 0, "image_id", value=key)
    write(root, content)
    assert len(read(root)) == 1
    content["images"][0]["id"] = "7"
    content["categories"][0]["id"] = "1"
    write(root, content)
    assert len(read(root)) == 1


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_points_of_v_0_may_have_no_numbers(root, nothing):
    keypoints = [20.25, 30, 2, 44, 30, 1, nothing, nothing, 0]
    write(root, changed("annotations", 0, "keypoints", value=keypoints))
    assert read(root).labelled[0].tolist() == [True, True, False]
    write(root, changed("annotations", 0, "keypoints", value=[*keypoints[:-1], 2]))
    with pytest.raises(ValueError, match=r"keypoints\[6\] is (None|nan)"):
        read(root)


def test_an_image_listed_twice_and_one_without_a_name_cost_no_other(root):
    content = changed("annotations", 0, "image_id", value=7)
    other = {**content["annotations"][0], "image_id": 8}
    content["images"] += [dict(content["images"][0]), {"id": 8}]
    content["annotations"].append(other)
    write(root, content)
    parsed = parse_annotations(root, "coco", scheme=TRIO)
    assert len(parsed.faces) == 1
    (fault,) = parsed.faults
    assert "image_id is 8, which is the id of images[2], which has no `file_name`" in str(fault)


def test_folders_may_begin_with_capitals(root):
    write(root, CONTENT)
    (root / "annotations").rename(root / "Annotations")
    (root / "images").rename(root / "Images")
    assert has_split(root, "coco", "train")
    assert read(root).image_path(0) == root / "Images" / "one.png"


TWO_CATEGORIES = [
    {"id": 1, "name": "face", "keypoints": ["left", "right", "chin"]},
    {"id": 2, "name": "dog", "keypoints": ["ear", "nose", "tail"]},
]
ONE_OF_EACH = [{**CONTENT["annotations"][0], "category_id": each} for each in (2, 1)]


def test_a_category_of_as_many_other_points_is_left_out(root):
    content = {**CONTENT, "annotations": ONE_OF_EACH, "categories": TWO_CATEGORIES}
    write(root, content)
    parsed = parse_annotations(root, "coco", scheme=TRIO)
    assert len(parsed.faces) == 1
    (finding,) = parsed.findings
    assert "'dog', which names none of the scheme's points: left out" in finding.message


def test_several_categories_without_the_scheme_s_names_are_a_warning(root):
    other = {**TWO_CATEGORIES[0], "keypoints": ["a", "b", "c"]}
    content = {**CONTENT, "annotations": ONE_OF_EACH, "categories": [other, TWO_CATEGORIES[1]]}
    write(root, content)
    parsed = parse_annotations(root, "coco", scheme=TRIO)
    assert len(parsed.faces) == 2
    (finding,) = parsed.findings
    assert (finding.level, finding.check) == ("warning", "several-categories")
    assert "'face', 'dog'" in finding.message


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_for_names_say_the_order(root, first):
    names = [str(first + each) for each in (2, 0, 1)]
    write(root, changed("categories", 0, "keypoints", value=names))
    parsed = parse_annotations(root, "coco", scheme=TRIO)
    assert parsed.faces.landmarks[0].tolist() == [[44.5, 30.5], [32.5, 50.5], [20.75, 30.5]]
    assert [each.check for each in parsed.findings] == ["points-reordered"]
    write(root, changed("categories", 0, "keypoints", value=sorted(names)))
    assert parse_annotations(root, "coco", scheme=TRIO).findings == ()


def test_twins_of_macos_are_not_taken_for_annotations(root):
    write(root, CONTENT)
    (root / "annotations" / "._faces_train.json").write_bytes(b"\0\5\x16\7")
    assert len(read(root)) == 1


def test_a_blank_behind_the_name_of_an_image(root):
    write(root, changed("images", 0, "file_name", value="one.png "))
    assert len(read(root)) == 1
