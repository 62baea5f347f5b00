"""Outputs of `sesame predict`: none over another or a user's file, none read as an input."""

import csv
import json
import os
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest

from sesame_hpc import Landmarker
from sesame_hpc.data.image_names import resolve_names
from sesame_hpc.inference.boxes import read_boxes
from sesame_hpc.inference.images import read_image
from sesame_hpc.inference.inputs import find_inputs
from sesame_hpc.inference.predict import predict

IMAGE = cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8), (64, 48))


@pytest.fixture(scope="module")
def landmarker(run):
    return Landmarker.load(run, "cpu")


def write_images(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grown = cv2.copyMakeBorder(IMAGE, 0, 0, 0, number, cv2.BORDER_REPLICATE)
        path.write_bytes(cv2.imencode(path.suffix, grown)[1].tobytes())
    return folder


def write_boxes(path: Path, *names: str):
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "x_min", "y_min", "x_max", "y_max"])
        table.writerows([name, 2, 2, 40 + number, 40] for number, name in enumerate(names))
    return read_boxes(path)


HARD = ("a.png", "a-2.jpg", "b.bmp", "b.bmp.png", "c.jpg", "c.png", "c_png.jpg", "C.webp")


@pytest.mark.parametrize("names", [HARD, HARD[::-1]])
@pytest.mark.parametrize("format", ["pts", "json"])
def test_every_face_has_an_output_of_its_own(landmarker, tmp_path, names, format):
    folder = write_images(tmp_path / "in", *names)
    boxes = write_boxes(tmp_path / "b.csv", *names, "a.png", "a.png", "c.jpg", "b.bmp")
    out = tmp_path / "out"
    paths = [folder / name for name in names]
    outcome = predict(landmarker, paths, out, format=format, boxes=boxes)
    assert outcome.failed == []
    assert len(outcome.faces) == len(names) + 4
    assert len(list(out.rglob("*.pts"))) == (len(names) + 4 if format == "pts" else 0)
    drawn = [path for path in (out / "drawn").rglob("*") if path.is_file()]
    assert len(drawn) == len(names) == len({path.name.casefold() for path in drawn})
    widths = sorted(read_image(path).shape[1] for path in drawn)
    assert widths == list(range(64, 64 + len(names)))
    assert sorted(outcome.files) == sorted(path for path in out.rglob("[!.]*") if path.is_file())


def test_running_it_again_where_its_outputs_lie_gives_the_same_faces(
    landmarker, tmp_path, monkeypatch
):
    write_images(tmp_path, "1.jpg", "deep/2.png")
    monkeypatch.chdir(tmp_path)
    for out in ("predictions", "predictions", "other", "."):
        for format in ("json", "pts"):
            outcome = predict(landmarker, [Path()], Path(out), format=format)
            assert sorted(face.source.name for face in outcome.faces) == ["1.jpg", "deep/2.png"]
            assert outcome.failed == []
    assert "left out 6 files that sesame predict drew before" in outcome.notes
    drawn = find_inputs([Path("other/drawn")])
    assert sorted(source.name for source in drawn.inputs) == ["1.jpg", "deep/2.png"]


def drawings(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "drawn").rglob("*") if path.is_file())


@pytest.mark.parametrize("format", ["json", "csv"])
def test_drawings_of_an_earlier_prediction_go_with_its_table(landmarker, tmp_path, format):
    folder, out = write_images(tmp_path / "in", "1.jpg", "deep/2.png", "3.bmp"), tmp_path / "out"
    predict(landmarker, [folder], out, format=format)
    (out / "drawn" / "mine.jpg").write_text("not of sesame predict")
    outcome = predict(landmarker, [folder / "1.jpg"], out, format=format)
    assert drawings(out) == ["1.jpg", "mine.jpg"]
    assert not (out / "drawn" / "deep").exists()
    assert f"removed 2 files of earlier predictions from {out}" in outcome.notes
    predict(landmarker, [folder / "1.jpg"], out, format=format, draw=False)
    assert drawings(out) == ["mine.jpg"]
    again = predict(landmarker, [folder], out, format=format)
    assert drawings(out) == ["1.jpg", "2.png", "3.bmp.png", "mine.jpg"]
    assert not [note for note in again.notes if "removed" in note]


def test_files_of_other_inputs_stay_where_each_face_has_its_own(landmarker, tmp_path):
    folder, out = write_images(tmp_path / "in", "1.jpg", "2.jpg"), tmp_path / "out"
    boxes = write_boxes(tmp_path / "b.csv", "1.jpg", "1.jpg", "1.jpg", "2.jpg", "2.jpg")
    predict(landmarker, [folder], out, format="pts", boxes=boxes)
    assert sorted(path.name for path in out.glob("*.pts")) == [
        "1-2.pts",
        "1-3.pts",
        "1.pts",
        "2-2.pts",
        "2.pts",
    ]
    fewer = write_boxes(tmp_path / "fewer.csv", "1.jpg", "1.jpg")
    predict(landmarker, [folder / "1.jpg"], out, format="pts", boxes=fewer)
    names = sorted(path.name for path in out.glob("*.pts"))
    assert names == ["1-2.pts", "1.pts", "2-2.pts", "2.pts"]
    assert drawings(out) == ["1.jpg", "2.jpg"]


def test_a_typo_in_the_only_input_leaves_what_was_predicted(landmarker, tmp_path):
    folder, out = write_images(tmp_path / "in", "1.jpg"), tmp_path / "out"
    predict(landmarker, [folder], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for wrong in (folder / "2.jpg", tmp_path / "inn"):
        with pytest.raises(ValueError, match="does not exist"):
            predict(landmarker, [wrong], out)
    with pytest.raises(ValueError, match="that sesame predict drew before; give the originals"):
        predict(landmarker, [out], out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_record_that_names_files_elsewhere_is_refused(landmarker, tmp_path):
    folder, out = write_images(tmp_path / "in", "1.jpg"), tmp_path / "out"
    out.mkdir()
    (tmp_path / "mine").write_text("mine")
    for name in ("drawn/../../mine", "../mine", str(tmp_path / "mine")):
        (out / ".sesame-predict.json").write_text(json.dumps({"written": [name]}))
        with pytest.raises(ValueError, match="is not what sesame predict wrote"):
            predict(landmarker, [folder], out)
    assert (tmp_path / "mine").exists()


def test_a_file_given_twice_is_one_input(landmarker, tmp_path):
    folder = write_images(tmp_path / "in", "1.jpg", "2.jpg")
    found = find_inputs([folder, folder / "1.jpg", folder / ".." / "in"])
    assert [source.name for source in found.inputs] == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("pts", "1.pts"),
        ("json", "landmarks.json"),
        ("csv", "confidence.csv"),
        ("json", "drawn/1.jpg"),
    ],
)
def test_a_file_of_the_user_s_is_never_overwritten(landmarker, tmp_path, format, name):
    folder = write_images(tmp_path, "1.jpg")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match=f"{name} would be overwritten.*give another --out"):
        predict(landmarker, [folder / "1.jpg"], folder, format=format)
    assert (folder / name).read_text() == "mine"
    assert sorted(folder.rglob("*")) == before


def test_a_second_face_s_file_gives_way_to_the_user_s(landmarker, tmp_path):
    folder = write_images(tmp_path, "1.jpg")
    (folder / "1-2.pts").write_text("mine")
    boxes = write_boxes(tmp_path / "b.csv", "1.jpg", "1.jpg")
    for _ in range(2):
        predict(landmarker, [folder / "1.jpg"], folder, format="pts", boxes=boxes, draw=False)
        assert (folder / "1-2.pts").read_text() == "mine"
        assert sorted(path.name for path in folder.glob("*.pts")) == [
            "1-2.pts",
            "1.pts",
            "1_jpg-2.pts",
        ]


def test_an_output_that_cannot_be_is_found_out_before_the_work(landmarker, tmp_path, monkeypatch):
    folder = write_images(tmp_path, "1.jpg")

    def never(*_: object) -> NoReturn:
        pytest.fail("the work began")

    monkeypatch.setattr("sesame_hpc.inference.predictor.read_image", never)
    with pytest.raises(OSError, match=r"1\.jpg"):
        predict(landmarker, [folder], folder / "1.jpg" / "out")
    with pytest.raises(OSError, match="File name too long"):
        predict(landmarker, [folder], folder / ("x" * 300))
    assert sorted(path.name for path in folder.iterdir()) == ["1.jpg"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_while_drawing_leaves_the_landmarks(landmarker, tmp_path, monkeypatch):
    folder = write_images(tmp_path / "in", "1.jpg", "2.jpg", "3.jpg")

    def full(path: Path, content: bytes) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(content)

    monkeypatch.setattr("sesame_hpc.inference.predictor.write_bytes_atomic", full)
    outcome = predict(landmarker, [folder], tmp_path / "out")
    record = json.loads((tmp_path / "out" / "landmarks.json").read_text())
    assert len(record["faces"]) == 3
    assert [text for text in outcome.failed if "No space left" in text]
    assert outcome.failed[-1] == "no more images are drawn: no space is left for them"
    assert len(outcome.failed) == 2


NAMES = ["a,b.jpg", 'q"x.jpg', "two\nlines.jpg", "cr\rx.jpg", " blank .jpg", "semi;colon.jpg"]
NAMES += ["tab\tx.jpg", "#x.jpg", "\u00e9e\u0301.jpg", os.fsdecode(b"latin\xe9.jpg"), "100%25.jpg"]


@pytest.mark.parametrize("format", ["json", "csv", "pts"])
def test_any_name_survives_every_format(landmarker, tmp_path, format):
    folder = write_images(tmp_path / "in", *NAMES)
    out = tmp_path / "out"
    outcome = predict(
        landmarker, [folder], out, format=format, boxes=write_boxes(tmp_path / "b.csv", *NAMES)
    )
    assert outcome.failed == []
    assert sorted(path.name for path in (out / "drawn").iterdir()) == sorted(NAMES)
    if format == "json":
        faces = json.loads((out / "landmarks.json").read_text())["faces"]
        assert [face["image"] for face in faces] == NAMES
        assert all(Path(face["file"]).is_file() for face in faces)
    elif format == "csv":
        again = read_boxes(out / "confidence.csv")
        assert [image for image, _, _ in again.rows] == NAMES
        outcome = predict(landmarker, [folder], tmp_path / "again", boxes=again, draw=False)
        assert (outcome.failed, len(outcome.faces)) == ([], len(NAMES))
    else:
        assert sorted(path.stem for path in out.glob("*.pts")) == sorted(
            Path(n).stem for n in NAMES
        )


@pytest.mark.parametrize("name", ["=1+1.jpg", "@a.jpg", "+a.jpg", "-a.jpg"])
def test_names_in_csv_are_no_formulas_and_still_name_their_file(landmarker, tmp_path, name):
    folder = write_images(tmp_path / "in", name, "b.jpg")
    predict(landmarker, [folder], tmp_path / "out", format="csv")
    for table in ("landmarks.csv", "confidence.csv"):
        lines = (tmp_path / "out" / table).read_text().splitlines()[1:]
        assert sorted(line.split(",")[0] for line in lines) == [f"./{name}", "b.jpg"]
    assert resolve_names([f"./{name}"], [name, "b.jpg"]).found == {f"./{name}": name}
