"""Files of boxes."""

import json
from pathlib import Path

import pytest

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
        boxes, orders = read_boxes(tmp_path / name).of(source("x/a/b.jpg", "a/b.jpg"))
        assert boxes.tolist() == [[1, 2, 3, 4.5], [5, 5, 8, 8]]
        assert orders.tolist() == [0, 2]


def test_files_are_found_by_name_path_or_bare_name(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text(CSV)
    table = read_boxes(path)
    assert len(table.of(source("a/b.jpg"))[0]) == 2
    assert len(table.of(source("elsewhere/v.mp4", "deep/v.mp4"), 1)[0]) == 1
    assert len(table.of(source("far/a/b.jpg", "b.jpg"))[0]) == 2
    assert table.of(source("v.mp4"), 0)[0].shape == (0, 4)
    with pytest.raises(ValueError, match=r"has no box for c\.jpg"):
        table.of(source("c.jpg"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.csv", "image,x_min,y_min,x_max\n", r"b\.csv:1: lacks y_max"),
        ("b.csv", CSV + "c.jpg,4,4,2,9,\nd.jpg,1,1,x,2,\n", r"2 faults\n.*b\.csv:5: .*\n.*:6: "),
        ("b.json", "{}", "takes a list"),
        ("b.json", "[", "is no JSON"),
        ("b.json", '[{"x_min": 1}]', r"b\.json\[0\]: .* names no image"),
        ("b.json", '[{"image": "a", "x_min": 0}]', "is no box"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_boxes(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no boxes at"):
        read_boxes(tmp_path / "b.csv")
