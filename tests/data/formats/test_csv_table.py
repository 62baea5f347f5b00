"""CSV tables: what is read from them, and how faults are named."""

from pathlib import Path

import pytest
from format_files import CSV_HEADER, CSV_ROW, TRIO, add_image

from sesame_hpc.data.formats.readers import detect_format, has_split, read_annotations


def write_table(root: Path, *rows: str, header: str = CSV_HEADER, split: str = "train") -> Path:
    path = root / f"{split}.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def root(tmp_path):
    add_image(tmp_path, "one.png")
    return tmp_path


def read(root: Path):
    return read_annotations(root, "csv", scheme=TRIO)


def test_numbers_are_read_as_they_stand(root):
    path = write_table(root, CSV_ROW, "", CSV_ROW.replace("20.5", "21.25"))
    faces = read(root)
    assert faces.landmarks[0].tolist() == [[20.5, 30], [44, 30], [32, 50]]
    assert faces.landmarks[1, 0].tolist() == [21.25, 30]
    assert faces.boxes[0].tolist() == [10, 12, 54, 60]
    assert (faces.attribute_names, faces.attributes[0].tolist()) == (("blur",), [True])
    assert faces.sources == (f"{path}:2", f"{path}:4")
    assert faces.image_path(0) == root / "one.png"
    assert has_split(root, "csv", "train")
    assert not has_split(root, "csv", "test")


def test_columns_in_any_order_and_without_a_box(root):
    write_table(root, '50,32,30,44,30,20.5,"one.png"', header="y2,x2,y1,x1,y0,x0,image")
    faces = read(root)
    assert faces.boxes[0].tolist() == [20.5, 30, 44, 50]
    assert faces.attribute_names == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (CSV_ROW + ",4", ":3: has 13 fields; the first line names 12"),
        (CSV_ROW.replace("20.5", "nan"), ":3: x0 is 'nan', and the point's other"),
        (CSV_ROW.replace("20.5", "2_0"), ":3: x0 is '2_0'"),
        (CSV_ROW.replace("20.5", "1e12"), ":3: x0 is '1e12'"),
        (CSV_ROW.replace("20.5", ""), ":3: x0 is ''"),
        (CSV_ROW.replace("54", "10"), r":3: empty box \(x_min 10"),
        (CSV_ROW.replace("20.5", "44"), ":3: points 0 and 1 coincide"),
        (CSV_ROW[:-1] + "2", ":3: attribute_blur is '2'; it is 0 or 1"),
        (CSV_ROW.replace("one.png", "two.png"), ":3: no image .*two.png"),
        (CSV_ROW.replace("one.png", ""), ":3: names no image"),
        (CSV_ROW.replace("one.png", '"one.png'), ":3: is not CSV: unexpected end of data"),
    ],
)
def test_faults_of_a_row_name_file_and_line(root, row, message):
    write_table(root, CSV_ROW, row)
    with pytest.raises(ValueError, match=message):
        read(root)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (CSV_HEADER.replace(",y2", ""), ":1: .* lacks y2; scheme trio takes image, x0, y0 to"),
        (CSV_HEADER.replace("image", "picture"), ":1: .* lacks image"),
        (CSV_HEADER + ",x0", ":1: column 'x0' is given twice"),
        (CSV_HEADER + ",name", ":1: unknown column 'name'; scheme trio takes image"),
        (CSV_HEADER.replace("x_max,", ""), ":1: 3 columns of a box; takes all of x_min"),
    ],
)
def test_faults_of_the_first_line_are_named(root, header, message):
    write_table(root, CSV_ROW, header=header)
    with pytest.raises(ValueError, match=message):
        read(root)


def test_empty_and_missing_tables_are_named(root):
    with pytest.raises(FileNotFoundError, match=r"no train split: looked for .*train.csv; .*one"):
        read(root)
    write_table(root)
    with pytest.raises(ValueError, match=r"train.csv: holds no face"):
        read(root)
    with pytest.raises(ValueError, match="format csv do not say what their points are"):
        read_annotations(root, "csv")


SHORT = "image,x0,y0,x1,y1,x2,y2"
ROW = "one.png,20.5,30,44,30,32,50"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", f"sep=;\n{SHORT}\n{ROW}".replace(",", ";")),
        ("train.csv", f"sep=,\n{SHORT}\n{ROW}"),
        ("train.csv", f"{SHORT}\n{ROW}".replace(",", "|")),
        ("train.csv", f"{SHORT}\n{ROW}".replace(",", ";").replace("20.5", "20,5")),
        ("train.csv", f"{SHORT}\n{ROW}".replace("image", "file_name")),
        ("train.csv", f"{SHORT}\n{ROW}".encode("utf-16-le")),
        ("train.csv", f"{SHORT}\n{ROW}".encode("utf-32")),
        ("Train.CSV", f"{SHORT}\n{ROW}"),
        ("train.tsv", f"{SHORT}\n{ROW}".replace(",", "\t")),
        ("labels.csv", f"{SHORT}\n{ROW}"),
        ("annotations/faces_train.csv", f"{SHORT}\n{ROW}"),
    ],
)
def test_tables_as_programs_write_and_people_name_them(root, name, content):
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert detect_format(root, TRIO) == "csv"
    assert read(root).landmarks[0].tolist() == [[20.5, 30], [44, 30], [32, 50]]
    assert not has_split(root, "csv", "test")


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "#N/A", "<NA>", "null", "None", "-", ""])
def test_words_for_a_point_that_is_not_labelled(root, word):
    write_table(root, ROW.replace("44,30,32,50", f"44,31,{word},{word}"), header=SHORT)
    assert read(root).labelled[0].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and more", "train.csv: is a ZIP archive or a workbook"),
        (b"\x1f\x8b\x08\x00X0", "train.csv: is compressed by gzip, not text; unpack it"),
        (f"{SHORT}\n{ROW}".replace("20.5", '"20,5"').encode(), ":2: x0 is '20,5'.*decimal comma"),
        (f"{SHORT}\none.png,20,5,30,5,44,5,30,5,32,5,50,5".encode(), ":2: has 13 .*decimal comma"),
        (b"<html><body>Sign in", ":1: .* lacks image.*it begins with '<html>"),
    ],
)
def test_tables_that_are_none_are_called_what_they_are(root, content, message):
    (root / "train.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(root)


def test_two_tables_that_could_be_the_same_split_are_not_guessed_about(root):
    for name in ("a.csv", "b.csv"):
        (root / name).write_text(f"{SHORT}\n{ROW}\n")
    with pytest.raises(ValueError, match=r"several train splits .*a.csv, b.csv; name one of them"):
        read(root)


def test_a_data_set_one_directory_below_is_named(root, tmp_path):
    write_table(root, CSV_ROW)
    outer = tmp_path / "outer"
    outer.mkdir()
    (root / "train.csv").rename(outer / "train.csv")
    inner = tmp_path / "above"
    inner.mkdir()
    outer.rename(inner / "unpacked")
    with pytest.raises(FileNotFoundError, match=r"holds no data set, but .*above/unpacked does"):
        detect_format(inner, TRIO)
