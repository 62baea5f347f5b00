"""`sesame data check` and `export` from the command line."""

import json

import cv2
import numpy as np
import pytest

SCHEME = """
name: trio
points: [left, right, chin]
regions: {eyes: 0-1, jaw: 2}
mirror: 1, 0, 2
normaliser: 0, 1
edges: {open: [0-1]}
"""


@pytest.fixture
def faces(tmp_path):
    """Three faces, the second with a word among its numbers."""
    folder = tmp_path / "faces"
    folder.mkdir()
    (tmp_path / "trio.yaml").write_text(SCHEME)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    rows = [f"{number}.png,20,20,44,20,32,44" for number in range(3)]
    rows[1] = rows[1].replace("44", "word", 1)
    (folder / "train.csv").write_text("\n".join(["image,x0,y0,x1,y1,x2,y2", *rows]) + "\n")
    return folder


def test_findings_are_summarised_and_listed(sesame, faces, tmp_path):
    checked = sesame("data", "check", "faces", "--scheme", "trio.yaml", "--json", "out/all.json")
    assert checked.returncode == 1, checked.stderr
    lines = checked.stdout.splitlines()
    assert lines[0] == "faces: format csv, scheme trio"
    assert lines[2].split() == ["train", "2", "2", "1", "0", "0.000"]
    assert lines[3] == "least NME: of square crops of 1.2 boxes"
    assert "1 error: not a finite number" in lines[4]
    assert "train.csv:3: x1 is 'word'" in lines[5]
    assert "found: 1 error" in lines
    content = json.loads((tmp_path / "out" / "all.json").read_text())
    assert content["findings"][0]["place"] == "faces/train.csv:3"


def test_a_clean_set_ends_with_0_and_strict_counts_notes(sesame, faces):
    command = ("data", "check", "faces", "--scheme", "trio.yaml")
    table = faces / "train.csv"
    table.write_text(table.read_text().replace("word", "44"))
    clean = sesame(*command)
    assert (clean.returncode, clean.stdout.splitlines()[-1]) == (0, "clean: nothing")
    table.write_text(
        table.read_text().replace("0.png,20,20,44,20,32,44", "0.png,20,20,44,20,32,64.5")
    )
    assert sesame(*command).returncode == 0
    strict = sesame(*command, "--strict")
    assert strict.returncode == 1
    assert "1 note: landmarks outside the image" in strict.stdout
    assert sesame(*command, "--strict", "--no-images").returncode == 0


def test_what_to_do_about_an_error_is_on_the_screen_in_full(sesame, faces):
    table = faces / "train.csv"
    table.write_text(table.read_text().replace("word", "44").replace("20,20,44", "-1,-1,44"))
    checked = sesame("data", "check", "faces", "--scheme", "trio.yaml", COLUMNS="80", LINES="24")
    assert "say --missing=-1,-1 (data.missing=[-1,-1])" in " ".join(checked.stdout.split())


@pytest.mark.parametrize("height", [24, 40])
def test_many_kinds_of_findings_fit_a_screen(sesame, faces, height):
    rows = ["gone.png,20,20,44,20,32,44", "0.png,1", "0.png,20,20,20,20,32,44", ",1,2,3,4,5,6"]
    rows += ["0.png,20,20,44,20,32,264", "0.png,20,20,20.5,20,32,44", "0.png,20,20,44,20,32,44"]
    with (faces / "train.csv").open("a") as table:
        table.write("\n".join(rows * 30) + "\n")
    checked = sesame(
        "data", "check", "faces", "--scheme", "trio.yaml", LINES=str(height), COLUMNS="80"
    )
    assert len(checked.stdout.splitlines()) < height
    assert max(map(len, checked.stdout.splitlines())) <= 80
    assert ("more kinds" in checked.stdout) == (height == 24)


def test_what_cannot_be_read_ends_with_2(sesame, faces, tmp_path):
    assert sesame("data", "check", "absent").returncode == 2
    no_scheme = sesame("data", "check", "faces")
    assert no_scheme.returncode == 2
    assert "name a scheme" in no_scheme.stderr
    (faces / "train.csv").write_bytes(b"image\xff")
    unreadable = sesame("data", "check", "faces", "--scheme", "trio.yaml")
    assert unreadable.returncode == 2
    assert "unreadable: no face" in unreadable.stdout
    assert "Traceback" not in unreadable.stderr


def test_export_says_what_it_did_and_what_it_left_out(sesame, faces):
    table = faces / "train.csv"
    table.write_text(table.read_text().replace("word", "44"))
    shown = sesame("data", "export", "faces", "out", "--to", "pts", "--scheme", "trio.yaml")
    assert shown.stdout.splitlines() == [
        "3 train faces from csv to pts in out",
        "pts cannot store boxes: left out",
    ], shown.stderr
    again = sesame("data", "export", "faces", "out", "--to", "csv", "--scheme", "trio.yaml")
    assert (again.returncode, again.stderr) == (
        2,
        "sesame: out is there already; export to a folder that is new or empty\n",
    )


@pytest.mark.parametrize(
    "command",
    [
        ("data", "check", "faces"),
        ("data", "export", "faces", "coco", "--to", "coco"),
        ("data", "pack", "faces", "packed"),
        ("data", "show", "faces", "--out", "sheet"),
    ],
    ids=lambda command: command[1],
)
def test_names_in_annotations_are_shown_and_not_obeyed(sesame, faces, command):
    """Escapes and markup in the name of an image that is missing, and in a value."""
    table = faces / "train.csv"
    text = table.read_text().replace("word", "44").replace("2.png", "\x1b[2J[/b]\u202e2.png")
    table.write_text(text.replace("1.png,20", "1.png,\x1b]0;[red]"))
    done = sesame(*command, "--scheme", "trio.yaml")
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "MarkupError" not in said
    assert r"\x1b" in said
    assert "\x1b" not in said
    assert "\u202e" not in said
