"""Files of boxes."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from sesame_hpc.inference.box_problem import box_problem
from sesame_hpc.inference.boxes import read_boxes
from sesame_hpc.inference.inputs import Input

CSV = "image,x_min,y_min,x_max,y_max,frame\na/b.jpg,1,2,3,4.5,\nv.mp4,0,0,9,9,1\na/b.jpg,5,5,8,8,\n"


def source(path: str, name: str | None = None) -> Input:
    return Input(Path(path), name or Path(path).name)


def test_csv_and_json_say_the_same(tmp_path):
    (tmp_path / "b.csv").write_text("\ufeff" + CSV, encoding="utf-8")
    header, *lines = CSV.splitlines()
    records = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    (tmp_path / "b.json").write_text(json.dumps(records))
    for name in ("b.csv", "b.json"):
        image = source("x/a/b.jpg", "a/b.jpg")
        boxes, orders = read_boxes(tmp_path / name).match([image]).of(image)
        assert boxes.tolist() == [[1, 2, 3, 4.5], [5, 5, 8, 8]]
        assert orders.tolist() == [0, 2]


def boxes_of(path, *inputs: Input) -> list[int]:
    """How many boxes each input gets."""
    matched = read_boxes(path).match(list(inputs))
    return [len(matched.of(each)[0]) for each in inputs]


def test_files_are_found_by_name_path_or_bare_name(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text(CSV)
    for image in (
        source("a/b.jpg"),
        source("far/a/b.jpg", "b.jpg"),
        source("x/A/B.JPG", "A/B.JPG"),
    ):
        assert boxes_of(path, image) == [2]
    clip = source("elsewhere/v.mp4", "deep/v.mp4")
    matched = read_boxes(path).match([clip])
    assert len(matched.of(clip, 1)[0]) == 1
    assert matched.of(clip, 0)[0].shape == (0, 4)
    assert list(matched.unused) == ["a/b.jpg"]
    other = source("c.jpg")
    with pytest.raises(ValueError, match=r"has no box for c\.jpg"):
        read_boxes(path).match([other]).of(other)


@pytest.mark.parametrize(
    "written",
    ["x\\a b\u00e9.jpg", "./x/A B\u00c9.JPG", "x/a%20be\u0301.jpg", "C:\\in\\x\\a b\u00e9.jpg"],
)
def test_other_spellings_of_a_name_are_understood(tmp_path, written):
    path = tmp_path / "b.csv"
    path.write_text(f"image,x_min,y_min,x_max,y_max\n{written},1,1,9,9\n", "utf-8")
    wanted, other = (
        source("in/x/a b\u00e9.jpg", "x/a b\u00e9.jpg"),
        source("in/y/other.jpg", "y/other.jpg"),
    )
    assert len(read_boxes(path).match([wanted, other]).of(wanted)[0]) == 1


def test_an_ambiguous_name_gives_its_boxes_to_nobody(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("image,x_min,y_min,x_max,y_max\n1.jpg,1,1,9,9\n")
    inputs = [source("in/a/1.jpg", "a/1.jpg"), source("in/b/1.jpg", "b/1.jpg")]
    matched = read_boxes(path).match(inputs)
    assert matched.unused == {"1.jpg": "could be in/a/1.jpg or in/b/1.jpg"}
    for each in inputs:
        with pytest.raises(ValueError, match=r"has no box for ./1\.jpg"):
            matched.of(each)


def test_the_nearest_name_is_said(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("image,x_min,y_min,x_max,y_max\nfaces_01.jpg,1,1,9,9\n")
    image = source("face_01.jpg")
    matched = read_boxes(path).match([image])
    assert matched.unused == {"faces_01.jpg": "the nearest name is face_01.jpg"}
    with pytest.raises(ValueError, match=r"no box for face_01\.jpg; the nearest name is faces_01"):
        matched.of(image)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.csv", "image,x_min,y_min,x_max\n", r"b\.csv:1: lacks y_max"),
        ("b.csv", "image,x_min,y_min,x_max,x_max,y_max\n", r"column 'x_max' is given twice"),
        ("b.json", "{}", "takes a list"),
        ("b.json", "[", "is not JSON"),
        ("b.json", "[" * 100_000, r"b\.json: is nested too deeply"),
        ("b.csv", "PK\x03\x04 and more", r"b\.csv: is a ZIP archive or a workbook"),
        ("b.json", "PK\x03\x04 and more", r"b\.json: is a ZIP archive or a workbook"),
        ("b.json", '[{"x_min": 1}]', r"b\.json\[0\]: .* names no image"),
        ("b.json", '[{"image": "a", "x_min": 0}]', "has no y_min; takes image, x_min"),
        ("b.json", "[7]", r"b\.json\[0\]: 7 is not an object; takes a list of objects"),
    ],
)
def test_a_file_without_a_box_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_boxes(tmp_path / name)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("c.jpg,4,4,2,9,", "is not finite with x_min < x_max"),
        ("d.jpg,1,1,x,2,", "x_max is 'x'; takes a number of pixels"),
        ("d.jpg,1,1,inf,2,", "is not finite"),
        (f"d.jpg,1,1,{'9' * 400},2,", "is not finite"),
        ("v.mp4,1,1,2,2,2.5", "frame is '2.5'; takes a whole number from 0"),
        ("v.mp4,1,1,2,2,-1", "frame is '-1'; takes a whole number from 0"),
        ("v.mp4,1,1,2,2,inf", "frame is 'inf'; takes a whole number from 0"),
        ("v.mp4,1,1,2,2,1e400", "frame is '1e400'; takes a whole number from 0"),
        ("d.jpg,1,1", "has 3 cells; the first line names 6 columns"),
        (",1,1,2,2,", "names no image"),
        ("a" * 200_000 + ",1,1,2,2,", r"is not CSV \(field larger"),
    ],
)
def test_a_bad_row_is_named_and_costs_no_other(tmp_path, row, problem):
    path = tmp_path / "b.csv"
    path.write_text(f"{CSV}{row}\n")
    table = read_boxes(path)
    assert [image for image, _, _ in table.rows] == ["a/b.jpg", "v.mp4", "a/b.jpg"]
    (found,) = table.problems
    assert re.search(rf"^.*b\.csv:5: .*{problem}", found)
    assert len(found) < 1000


@pytest.mark.parametrize(
    "value",
    ["Infinity", "-Infinity", "NaN", "9" * 400, "9" * 5000, '"x"', "null", "[1]", "{}", "true"],
)
@pytest.mark.parametrize("key", ["frame", "x_max"])
def test_any_json_value_is_a_box_or_a_problem(tmp_path, key, value):
    good = {"image": "a.jpg", "x_min": 0, "y_min": 0, "x_max": 9, "y_max": 9}
    text = json.dumps([good, good | {key: "HERE"}]).replace('"HERE"', value)
    path = tmp_path / "b.JSON"
    path.write_text(text)
    table = read_boxes(path)
    assert len(table.rows) + len(table.problems) == 2
    assert len(table.rows) >= 1
    if (key, value) != ("frame", "null"):
        assert "[1]: " in table.problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "image ,x_min ,y_min ,x_max ,y_max \na.jpg,1,2,3,4.5\n",
        "\n \nIMAGE,X_Min,y_min,x_max,y_max,frame\n\na.jpg,1,2,3,4.5,\n\n  \n",
        "image, x_min, y_min, x_max, y_max\na.jpg, 1, 2, 3, 4.5\n",
        "image;x_min;y_min;x_max;y_max\na.jpg;1;2;3;4,5\n",
        "image\tx_min\ty_min\tx_max\ty_max\r\na.jpg\t1\t2\t3\t4.5\r\n",
        ",image,x_min,y_min,x_max,y_max\n0,a.jpg,1,2,3,4.5,,\n",
        "image,x_min,y_min,x_max,y_max,\na.jpg,1,2,3,4.5,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_tables_are_read_as_people_and_programs_write_them(tmp_path, text, encoding):
    path = tmp_path / "b.csv"
    path.write_bytes(text.encode(encoding))
    table = read_boxes(path)
    assert table.rows == [("a.jpg", None, [1.0, 2.0, 3.0, 4.5])]
    assert table.problems == []


def test_frames_may_be_written_as_decimal_numbers(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("image,frame,x_min,y_min,x_max,y_max\nv.mp4,3.0,1,1,9,9\na.jpg,,1,1,9,9\n")
    assert [frame for _, frame, _ in read_boxes(path).rows] == [3, None]


def test_frames_that_a_file_does_not_have_are_named(tmp_path):
    path = tmp_path / "boxes.csv"
    rows = ["a.jpg,0,1,1,9,9", "a.jpg,3,1,1,9,9", "a.jpg,,2,2,9,9", "v.mp4,7,1,1,9,9"]
    path.write_text("\n".join(["image,frame,x_min,y_min,x_max,y_max", *rows]))
    image, video = Input(Path("in/a.jpg"), "a.jpg"), Input(Path("in/v.mp4"), "v.mp4")
    matched = read_boxes(path).match([image, video])
    assert matched.of(image)[1].tolist() == [0, 2]
    assert matched.past_the_end(image, 1) == [
        f"{path}:3: frame 3 of in/a.jpg, which has 1 frame, from 0"
    ]
    assert matched.past_the_end(video, 8) == []
    assert len(matched.past_the_end(video, 7)) == 1


def test_a_box_that_is_given_again_is_one_face(tmp_path):
    path = tmp_path / "boxes.csv"
    rows = ["a.jpg,,1,1,9,9", "./a.jpg,0,1.0,1,9,9", "a.jpg,,1,1,9,8", "v.mp4,,2,2,9,9"]
    rows += ["v.mp4,3,2,2,9,9", "v.mp4,4,2,2,8,8"]
    path.write_text("\n".join(["image,frame,x_min,y_min,x_max,y_max", *rows]))
    image, video = Input(Path("in/a.jpg"), "a.jpg"), Input(Path("in/v.mp4"), "v.mp4")
    matched = read_boxes(path).match([image, video])
    assert matched.of(image)[1].tolist() == [0, 2]
    assert matched.of(video, 3)[1].tolist() == [3]
    assert matched.of(video, 4)[1].tolist() == [3, 5]
    assert matched.repeats == {1, 4}


def test_names_in_latin_1_are_those_of_the_bytes(tmp_path):
    path = tmp_path / "b.csv"
    path.write_bytes(
        "image,x_min,y_min,x_max,y_max\nGr\u00f6\u00dfe.png,1,1,9,9\n".encode("latin-1")
    )
    name = os.fsdecode("Gr\u00f6\u00dfe.png".encode("latin-1"))
    assert boxes_of(path, source(name)) == [1]
    assert boxes_of(path, source("Gr\u00f6\u00dfe.png")) == [1]


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([10, 10, 60, 50], None),
        ([-20, -20, 50, 40], None),
        ([-40, -30, 120, 90], None),
        ([0, 0, 1e7, 1e7], "lies outside the image of 80 x 60 pixels with more than nine tenths"),
        ([0, 0, 1e308, 1e308], "lies outside"),
        ([-1e308, -1e308, 1e308, 1e308], "lies outside"),
        ([80, 0, 120, 60], "lies outside the image of 80 x 60 pixels"),
        ([0, 0, 1e-320, 1e-320], "is smaller than a pixel"),
        ([0.1, 0.1, 0.9, 0.8], "smaller than a pixel; boxes are in pixels, not in fractions"),
        ([0, 0, float("nan"), 5], "is not finite"),
        ([5, 5, 5, 9], "x_min < x_max"),
    ],
)
def test_which_boxes_an_image_can_have(box, problem):
    found = box_problem(np.array(box, dtype=np.float64), 80, 60)
    assert (found is None) == (problem is None)
    assert problem is None or problem in found


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--boxes: .* is not a file"):
        read_boxes(tmp_path / "b.csv")
