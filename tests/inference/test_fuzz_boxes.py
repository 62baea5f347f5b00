"""Spoilt files of boxes and predictions: boxes, problems that are named, or one clear error.

SESAME_FUZZ_CASES=N tries N of each kind. All is drawn from one seed: a failure names its case.
"""

import csv
import io
import json
import math
import os
import random
from pathlib import Path

import numpy as np
import pytest
from five_points import FIVE, faces

from sesame_hpc.evaluation.predictions import read_predictions
from sesame_hpc.inference.box_problem import box_problem
from sesame_hpc.inference.boxes import read_boxes
from sesame_hpc.inference.inputs import Input

CASES = int(os.environ.get("SESAME_FUZZ_CASES", "300"))

WORDS = (
    "nan inf -inf Infinity 1e999 1e-320 1e300 -1e8 0 -0 3.0 -1 00 0x10 1_0 1,5 \u0661\u0662 \u00bd"
)
TOKENS = [*WORDS.split(), *"{}[]\"',;:\\/\0\x1c\x85\u2028\ufeff\u00e9\r\n\t"]
TOKENS += ["", "9" * 400, "9" * 5000, "x" * 5000, "z" * 140_000, "[" * 3000, "null", "true", "{}"]
TOKENS += ["a.jpg", "v.mp4", "../..", "/dev/null", "image", "x_min", "frame"]
NAMES = ["a.jpg", "b,c.jpg", 'q"x.jpg', "v.mp4", "deep/\u00e9.png"]
INPUTS = [Input(Path("in") / name, name) for name in NAMES]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32"]


def box_records() -> list[dict[str, object]]:
    sides = {"x_min": 1, "y_min": 2, "x_max": 30.5, "y_max": 40}
    return [{"image": name, "frame": None, **sides} for name in NAMES]


def box_csv() -> str:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(box_records()[0]))
    table.writeheader()
    table.writerows(box_records())
    return text.getvalue()


def prediction_csv() -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["image", *(f"{axis}{point}" for point in range(5) for axis in "xy")])
    for name, points in zip(NAMES, faces(NAMES).landmarks, strict=True):
        table.writerow([name, *points.ravel().tolist()])
    return text.getvalue()


def spoilt_text(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(text) + 1)
        end = min(len(text), place + chance.choice((0, 0, 1, 3, 20)))
        text = text[:place] + chance.choice(TOKENS) + text[end:]
        if chance.random() < 0.1:
            text = text[: chance.randrange(len(text) + 1)]
    return text


def spoilt_bytes(text: str, chance: random.Random) -> bytes:
    content = spoilt_text(text, chance).encode(chance.choice(ENCODINGS), "replace")
    for _ in range(chance.choice((0, 0, 1, 5))):
        place = chance.randrange(len(content) + 1)
        content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    return content


def spoilt_json(chance: random.Random) -> bytes:
    records = box_records()
    values = [
        math.inf,
        math.nan,
        10**400,
        -1,
        2.5,
        "3.0",
        "x",
        None,
        True,
        [],
        {},
        [[[]]],
        "\ud800",
    ]
    for _ in range(chance.randint(0, 3)):
        chance.choice(records)[chance.choice(list(records[0]))] = chance.choice(values)
    text = json.dumps(records)
    return spoilt_bytes(text, chance) if chance.random() < 0.5 else text.encode()


def check_sentence(sentence: str, path: Path, most: int) -> None:
    assert path.name in sentence
    assert len(sentence) < most


def check_boxes(path: Path) -> str:
    """Whatever the file holds, its boxes can be used, and everything else is named in a line."""
    try:
        table = read_boxes(path)
    except ValueError as error:
        check_sentence(str(error), path, most=10_000)
        return "refused"
    assert len(table.rows) == len(table.places)
    matched = table.match(INPUTS)
    for source in INPUTS:
        for frame in (None, 0, 3):
            try:
                boxes, _ = matched.of(source, frame)
            except ValueError as error:
                check_sentence(str(error), path, most=1000)
                continue
            assert np.isfinite(boxes).all()
            for box in boxes:
                box_problem(box, 80, 60)
    for sentence in table.problems:
        check_sentence(sentence, path, most=2000)
    return "problems" if table.problems else "read"


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_spoilt_files_of_boxes(tmp_path, kind):
    outcomes = set()
    for case in range(CASES):
        chance = random.Random(f"{kind} {case}")
        path = tmp_path / f"b.{kind}"
        path.write_bytes(spoilt_json(chance) if kind == "json" else spoilt_bytes(box_csv(), chance))
        try:
            outcomes.add(check_boxes(path))
        except Exception as error:
            error.add_note(f"case {kind} {case}: {path.read_bytes()[:2000]!r}")
            raise
    assert outcomes == {"read", "problems", "refused"}


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_spoilt_files_of_predictions(tmp_path, kind):
    expected = faces(NAMES)
    path = tmp_path / f"p.{kind}"
    np.savez(tmp_path / "whole.npz", image=np.array(NAMES), points=expected.landmarks)
    whole = (tmp_path / "whole.npz").read_bytes()
    refused = 0
    for case in range(CASES):
        chance = random.Random(f"{kind} {case}")
        if kind == "csv":
            path.write_bytes(spoilt_bytes(prediction_csv(), chance))
        else:
            content = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            path.write_bytes(bytes(content)[: chance.choice((len(whole), chance.randrange(2000)))])
        try:
            points = read_predictions(path, expected)
        except ValueError as error:
            check_sentence(str(error), path, most=10_000)
            refused += 1
        except Exception as error:
            error.add_note(f"case {kind} {case}: {path.read_bytes()[:2000]!r}")
            raise
        else:
            assert points.shape == (len(NAMES), FIVE.num_landmarks, 2)
            assert np.isfinite(points).all()
    assert CASES / 3 < refused <= CASES
