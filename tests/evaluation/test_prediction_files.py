"""Files of predictions, as we and others write them."""

import csv
import io
import os

import numpy as np
import pytest
from five_points import faces

from sesame_hpc.evaluation.predictions import read_predictions

NAMES = [
    "a,b.jpg",
    'q"x.jpg',
    "two\nlines.jpg",
    " blank .jpg",
    "x;y.jpg",
    "c\rr.jpg",
    os.fsdecode(b"l\xe9.jpg"),
]
COLUMNS = [f"{axis}{point}" for point in range(5) for axis in "xy"]


def table(names: list[str], separator: str = ",", **options) -> str:
    text = io.StringIO(newline="")
    rows = csv.writer(text, delimiter=separator, **options)
    rows.writerow(["image", *COLUMNS])
    rows.writerows(
        [name, *points]
        for name, points in zip(names, faces(names).landmarks.reshape(-1, 10).tolist(), strict=True)
    )
    return text.getvalue()


def read(tmp_path, content: bytes, names: list[str] = NAMES) -> np.ndarray:
    path = tmp_path / "p.csv"
    path.write_bytes(content)
    return read_predictions(path, faces(names))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n \n\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_name_and_any_way_of_writing_a_table(tmp_path, separator, end, mark):
    text = table(NAMES, separator, lineterminator="\r\n").rstrip("\r\n").replace("\r\n", "\n") + end
    content = mark + text.encode("utf-8", "surrogateescape")
    np.testing.assert_array_equal(read(tmp_path, content), faces(NAMES).landmarks)


def test_other_columns_and_spellings(tmp_path):
    names = ["in/A b.jpg", "in/\u00e9.jpg"]
    written = ["in\\a%20b.JPG", "./in/e\u0301.jpg"]
    lines = table(written).replace("\r\n", ",\r\n").splitlines()
    text = "\n".join([f"{lines[0]}attribute_blur", *(f"{line}1" for line in lines[1:])])
    np.testing.assert_array_equal(read(tmp_path, text.encode(), names), faces(names).landmarks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("a,b.jpg", "b.jpg"),
            r"p\.csv:2 is for 'b\.jpg', but face 0 is in a,b",
        ),
        (
            lambda text: text.replace("9.0", "x", 1),
            r"p\.csv:2: y4 is 'x'; takes a number",
        ),
        (lambda text: text.replace("9.0", "inf", 1), r"p\.csv:2 .* not finite"),
        (lambda text: text + "\n" + "z" * 200_000, r"p\.csv:\d+: is not CSV"),
        (lambda text: text.splitlines()[0], r"points are \(0, 5, 2\)"),
        (lambda text: "", r"p\.csv:1: lacks image, x0"),
        (
            lambda text: text.replace("\r\n", ",1,2\r\n").replace(",1,2", ",x5,y5", 1),
            r"p\.csv:1: has a column x5, and the faces have 5 landmarks, x0 to y4",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, change, message):
    text = change(table(NAMES)).encode("utf-8", "surrogateescape")
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "arrays",
    [
        {"image": np.array("a"), "points": np.zeros((1, 5, 2))},
        {"image": np.arange(7), "points": np.zeros((7, 5, 2))},
        {"image": np.array(["a"] * 7), "points": np.array(1.0)},
        {"image": np.array(["a"] * 7), "points": np.array([["x"] * 2] * 5)},
        {"image": np.array(["a"] * 6), "points": np.zeros((7, 5, 2))},
    ],
)
def test_arrays_of_another_form_are_named(tmp_path, arrays):
    np.savez(tmp_path / "p.NPZ.npz", **arrays)
    with pytest.raises(ValueError, match=r"p\.NPZ\.npz: (image is|points are)"):
        read_predictions(tmp_path / "p.NPZ.npz", faces(NAMES))


def test_the_json_of_predict_is_not_what_is_read(tmp_path):
    path = tmp_path / "landmarks.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"npz or CSV files; `sesame predict --format csv` writes"):
        read_predictions(path, faces(NAMES[:2]))
