"""Data that are right, though not as the documents show them: read, with a finding where it helps.

Each is the shape of a report in a public tracker.
"""

import copy
import unicodedata

import numpy as np
import pytest
from five_faces import (
    FIVE,
    add_images,
    boxes_of,
    coco_of,
    coco_set,
    points_of,
    pts_text,
    write_coco,
)
from format_files import add_image

from sesame_hpc.config import DataConfig
from sesame_hpc.data.check import check_data
from sesame_hpc.data.formats.export import export_annotations
from sesame_hpc.data.formats.parsed import OnError
from sesame_hpc.data.formats.readers import (
    detect_format,
    has_split,
    parse_annotations,
    read_annotations,
    read_part,
    scheme_of,
)
from sesame_hpc.data.formats.registry import format_of

POINTS = points_of()


def findings_of(parsed) -> dict[str, str]:
    return {each.check: each.message for each in parsed.findings}


def parse(root, format="coco", split="train", **options):
    return parse_annotations(root, format, split, FIVE, **options)


def test_objects_that_are_no_face_of_the_scheme_are_left_out(tmp_path):
    content = coco_set(tmp_path)
    face = content["annotations"][0]
    content["categories"].append({"id": 2, "name": "hat"})
    content["categories"].append({"id": 3, "name": "person", "keypoints": ["a"] * 17})
    content["annotations"] += [
        {"id": 50, "image_id": 1, "category_id": 2, "bbox": [0, 0, 50, 50]},
        {**face, "id": 51, "keypoints": [], "num_keypoints": 0, "bbox": [0, 0, 0, 0]},
        {**face, "id": 52, "iscrowd": 1},
        {**face, "id": 53, "category_id": 3, "keypoints": [1.0, 2.0, 2] * 17},
        {**face, "id": 54, "keypoints": [0, 0, 0] * 5},
    ]
    write_coco(tmp_path, content)
    parsed = parse(tmp_path)
    assert len(parsed.require()) == 16
    left = [each.message for each in parsed.findings if each.check == "not-a-face"]
    assert left == [
        "has no keypoints: left out",
        "has no keypoints: left out",
        "marks a crowd: left out",
        "is of category 'person', which names 17 keypoints; scheme five has 5: left out",
        "no point is labelled: left out",
    ]
    assert check_data(tmp_path, "coco", FIVE, threads=None).exit_code() == 0


def test_faces_that_cannot_be_read_are_left_out_where_asked(tmp_path):
    content = coco_set(tmp_path)
    content["annotations"][3]["keypoints"][3:5] = content["annotations"][3]["keypoints"][:2]
    write_coco(tmp_path, content)
    with pytest.raises(ValueError, match=r"annotations\[3\]: points 0 and 1 coincide") as refused:
        read_annotations(tmp_path, "coco", scheme=FIVE)
    assert "data.on_error=skip" in str(refused.value)
    faces = read_annotations(tmp_path, "coco", scheme=FIVE, on_error=OnError(True, 0.01))
    assert len(faces) == 15
    content["annotations"][4]["bbox"] = [1, 1, 0, 0]
    write_coco(tmp_path, content)
    with pytest.raises(
        ValueError, match=r"data.max_skipped \(0.01\) allows 1 of 16 faces to be left out"
    ):
        read_annotations(tmp_path, "coco", scheme=FIVE, on_error=OnError(True, 0.01))


def test_a_file_that_breaks_off_is_refused_whatever_is_asked(tmp_path):
    names = add_images(tmp_path, 2)
    lines = [f"{name},{','.join(map(str, POINTS[row].ravel()))}" for row, name in enumerate(names)]
    header = "image," + ",".join(f"{axis}{i}" for i in range(5) for axis in "xy")
    (tmp_path / "train.csv").write_text("\n".join([header, lines[0], '"' + lines[1]]))
    with pytest.raises(ValueError, match="is not CSV"):
        read_annotations(tmp_path, "csv", scheme=FIVE, on_error=OnError(True, 1.0))


@pytest.mark.parametrize("missing", [0, 1])
def test_one_missing_image_does_not_hide_the_others(tmp_path, missing):
    content = coco_set(tmp_path)
    (tmp_path / "images" / f"face_{missing}.png").unlink()
    write_coco(tmp_path, content)
    parsed = parse(tmp_path)
    assert len(parsed.faces) == 15
    assert [each.place.rpartition(":")[2] for each in parsed.faults] == [f"annotations[{missing}]"]


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: f"images\\{name}",
        lambda name: name.replace(".png", ".PNG"),
        lambda name: f"./{name}",
        lambda name: f"..\\..\\label-studio\\upload\\4\\{name}",
        lambda name: f"https%3A//host/{name}".replace("_", "%5F"),
        lambda name: f"/home/somebody/{name}",
    ],
)
def test_names_are_found_however_they_are_spelled(tmp_path, spell):
    content = coco_set(tmp_path)
    for image in content["images"]:
        image["file_name"] = spell(image["file_name"])
    write_coco(tmp_path, content)
    parsed = parse(tmp_path)
    assert len(parsed.require()) == 16
    found = findings_of(parsed).get("respelled", "exists as it stands")
    exists = (tmp_path / "images" / spell("face_0.png")).is_file()
    assert ("exists as it stands" if exists else "16 image names are spelled differently") in found
    assert parsed.faces.image_path(0).is_file()


def test_unicode_forms_of_one_name(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Grüße.png") for form in ("NFC", "NFD"))
    add_image(tmp_path / "images", decomposed)
    write_coco(tmp_path, coco_of([composed], POINTS[:1]))
    assert len(parse(tmp_path).require()) == 1


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/person_keypoints_default.json", "images"),
        ("annotations/person_keypoints_Train.json", "images/Train"),
        ("annotations/person_keypoints_train2017.json", "train2017"),
        ("train/_annotations.coco.json", "train"),
        ("result.json", "images"),
        ("annotations.json", "."),
    ],
)
def test_usual_names_of_coco_files(tmp_path, file, images):
    write_coco(tmp_path, coco_of(add_images(tmp_path / images, 4), POINTS[:4]), file)
    write_coco(tmp_path, coco_of(["x"], POINTS[:1]), "valid/_annotations.coco.json")
    assert detect_format(tmp_path) == "coco"
    assert len(read_annotations(tmp_path, "coco", scheme=FIVE)) == 4
    assert not has_split(tmp_path, "coco", "test")


def test_names_of_points_in_another_order_and_case(tmp_path):
    content = coco_set(tmp_path)
    order = [3, 4, 2, 0, 1]
    content["categories"][0]["keypoints"] = [FIVE.points[i].title() for i in order]
    for face in content["annotations"]:
        points = np.array(face["keypoints"]).reshape(5, 3)
        face["keypoints"] = points[order].ravel().tolist()
    write_coco(tmp_path, content)
    parsed = parse(tmp_path)
    np.testing.assert_allclose(parsed.require().landmarks, POINTS)
    assert "in another order" in findings_of(parsed)["points-reordered"]


def add_pts(folder, count=3, start=0, suffix=".png"):
    for number in range(start, start + count):
        add_image(folder, f"f{number}{suffix}", seed=number, size=(120, 136))
        (folder / f"f{number}.pts").write_text(pts_text(POINTS[number]))


def test_files_of_the_system_and_images_without_labels(tmp_path):
    add_pts(tmp_path)
    for name in ("._f0.pts", "._f0.png", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    add_image(tmp_path, "extra.png")
    parsed = parse(tmp_path, "pts")
    assert len(parsed.require()) == 3
    found = findings_of(parsed)
    assert found["hidden-file"] == "2 hidden files of the system, such as ._f0.png: ignored"
    assert found["unlabelled"] == "has no extra.pts beside it: left out"


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".webp", ".JPG"])
def test_every_kind_of_image_that_is_read(tmp_path, suffix):
    add_pts(tmp_path, suffix=suffix)
    report = check_data(tmp_path, "pts", FIVE, threads=1)
    assert [each.check for each in report.findings] == []
    assert report.parts[0].faces == 3


def test_the_nested_layout_of_300w(tmp_path):
    places = ("afw", "helen/trainset", "helen/testset", "ibug", "lfpw/trainset", "lfpw/testset")
    for number, place in enumerate(places):
        add_pts(tmp_path / place, count=1 + number % 2, start=2 * number)
    train, test = (parse(tmp_path, "pts", split) for split in ("train", "test"))
    assert {image.rpartition("/")[0] for image in train.require().images} == {
        "afw",
        "helen/trainset",
        "lfpw/trainset",
    }
    assert {image.split("/")[0] for image in test.require().images} == {"helen", "ibug", "lfpw"}
    assert "ibug" in findings_of(test)["split-by-folder"]
    (tmp_path / "test.txt").write_text("afw/f0.png\n")
    assert parse(tmp_path, "pts", "test").require().images == ("afw/f0.png",)
    assert "afw/f0.png" not in parse(tmp_path, "pts").require().images


def test_boxes_beside_pts_files(tmp_path):
    add_pts(tmp_path)
    boxes = boxes_of(POINTS)
    rows = [f"f{row}.png,{','.join(map(str, boxes[row]))}" for row in (0, 1)]
    table = "image,x_min,y_min,x_max,y_max\n" + "\n".join(rows)
    (tmp_path / "boxes.csv").write_text(table)
    parsed = parse(tmp_path, "pts")
    np.testing.assert_allclose(parsed.require().boxes[:2], boxes[:2])
    assert "has no box for 1 of 3 images, such as f2.png" in findings_of(parsed)["box-absent"]


def test_a_second_box_beside_a_pts_file_is_a_fault(tmp_path):
    add_pts(tmp_path)
    boxes = boxes_of(POINTS)
    rows = [f"f{row}.png,{','.join(map(str, boxes[row]))}" for row in (0, 1, 2, 0)]
    rows += ["f1.png,1,1,9,9", "unlabelled.png,1,1,9,9", "unlabelled.png,2,2,9,9"]
    (tmp_path / "boxes.csv").write_text("image,x_min,y_min,x_max,y_max\n" + "\n".join(rows))
    parsed = parse(tmp_path, "pts")
    (fault,) = parsed.faults
    assert "boxes.csv:6: is another box of 'f1.png', which has one face" in str(fault)
    np.testing.assert_allclose(parsed.faces.boxes[:2], boxes[:2])


def csv_with(separator=",", decimal=".", index=False, trailing=False, upper=False, **encoding):
    header = ["image", *(f"{axis}{i}" for i in range(5) for axis in "xy")]
    rows = [header]
    for row, points in enumerate(POINTS[:4]):
        numbers = [str(value).replace(".", decimal) for value in points.ravel().tolist()]
        rows.append([f"face_{row}.png", *numbers])
    if upper:
        rows[0] = [name.title() for name in header]
    if index:
        rows = [["" if i == 0 else str(i - 1), *row] for i, row in enumerate(rows)]
    if trailing:
        rows = [[*row, ""] for row in rows]
    return "\n".join(separator.join(row) for row in rows)


@pytest.mark.parametrize(
    "options",
    [
        {"separator": ";"},
        {"separator": ";", "decimal": ","},
        {"separator": "\t", "decimal": ","},
        {"index": True},
        {"trailing": True},
        {"upper": True},
        {"separator": ";", "index": True, "trailing": True, "decimal": ","},
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets(tmp_path, options, encoding):
    add_images(tmp_path, 4)
    (tmp_path / "train.csv").write_text(csv_with(**options), encoding=encoding)
    faces = read_annotations(tmp_path, "csv", scheme=FIVE)
    np.testing.assert_allclose(faces.landmarks, POINTS[:4])


def test_missing_points_are_read_written_and_read_again(tmp_path):
    content = coco_set(tmp_path)
    content["annotations"][2]["keypoints"][6:9] = [0, 0, 0]
    content["annotations"][2]["keypoints"][11] = 1
    del content["annotations"][2]["bbox"]
    write_coco(tmp_path, content)
    before = read_annotations(tmp_path, "coco", scheme=FIVE)
    assert np.isnan(before.landmarks[2, 2]).all()
    assert before.seen[2].tolist() == [2, 2, 0, 1, 2]
    rest = POINTS[2, [0, 1, 3, 4]]
    np.testing.assert_allclose(before.boxes[2], [*rest.min(axis=0), *rest.max(axis=0)])
    for to in ("coco", "csv"):
        export_annotations(tmp_path, tmp_path / to, to, "coco", FIVE)
        after = read_annotations(tmp_path / to, to, scheme=FIVE)
        np.testing.assert_allclose(after.landmarks, before.landmarks, atol=1e-9)
        np.testing.assert_array_equal(after.seen, before.seen)
    for to in ("pts", "wflw"):
        with pytest.raises(ValueError, match="for example --missing=-1,-1"):
            export_annotations(tmp_path, tmp_path / to, to, "coco", FIVE)
        export_annotations(tmp_path, tmp_path / to, to, "coco", FIVE, missing=(-1, -1))
        after = read_annotations(tmp_path / to, to, scheme=FIVE, missing=(-1, -1))
        assert after.labelled.sum() == before.labelled.sum()
    assert check_data(tmp_path, "coco", FIVE, threads=1).exit_code() == 0


def test_select_keeps_what_is_missing(tmp_path):
    content = coco_set(tmp_path)
    content["annotations"][2]["keypoints"][6:9] = [0, 0, 0]
    write_coco(tmp_path, copy.deepcopy(content))
    faces = read_annotations(tmp_path, "coco", scheme=FIVE).select(np.array([2, 0]))
    assert faces.labelled.sum(axis=1).tolist() == [4, 5]
    assert faces.seen[0].tolist() == [2, 2, 0, 2, 2]


def test_a_format_that_is_not_there_names_the_one_that_is(tmp_path):
    write_coco(tmp_path, coco_set(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"looks like format coco: data\.format=coco, or --"
    ):
        read_annotations(tmp_path, "pts", scheme=FIVE)
    with pytest.raises(FileNotFoundError, match=r"no test split: looked for") as caught:
        read_annotations(tmp_path, "coco", "test", scheme=FIVE)
    assert "looks like" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"data root .*nowhere is not a directory"):
        detect_format(tmp_path / "nowhere")
    for format in ("csv", format_of(DataConfig(root=tmp_path, format="csv"))):
        with pytest.raises(FileNotFoundError, match=r"has no files of format csv\. What is there"):
            scheme_of(tmp_path, format)


def test_a_data_set_that_is_given_twice_is_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "same").symlink_to("faces")
    for other in (tmp_path / "faces", tmp_path / "x" / ".." / "faces", tmp_path / "same"):
        data = DataConfig.model_validate({"root": [tmp_path / "faces", other], "format": "pts"})
        with pytest.raises(ValueError, match=r"is among the data sets twice"):
            read_part(data, "train")


def test_folders_without_points_tell_no_split(tmp_path):
    """A run inside the data set's folder, as with data.root=. and output=runs/mine."""
    (tmp_path / "one").mkdir()
    add_image(tmp_path, "one/face.png")
    (tmp_path / "one" / "face.pts").write_text(pts_text(POINTS[0]))
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "weights.safetensors").write_bytes(b"0")
    findings = parse_annotations(tmp_path, "pts", scheme=FIVE).findings
    told = [each.message for each in findings if each.check == "split-by-folder"]
    assert told == ["the train split is what lies in one"]
