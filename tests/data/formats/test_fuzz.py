"""Thousands of spoilt data sets: only findings and clear errors, never a traceback.

Everything is drawn from one seed, so a failure names the case that repeats it. SESAME_FUZZ=10000
spoils that many in all; without it a part of them.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from format_files import CSV_HEADER, CSV_ROW, TRIO, add_image

from sesame_hpc.choices import Split
from sesame_hpc.data.check import check_data
from sesame_hpc.data.check.registry import TITLES
from sesame_hpc.data.formats.readers import (
    has_split,
    parse_annotations,
    read_annotations,
)
from sesame_hpc.data.formats.wflw import list_path
from sesame_hpc.data.formats.wflw_subsets import subset_path

CASES = int(os.environ.get("SESAME_FUZZ", "1800"))
TEXT_CASES, IMAGE_CASES = CASES // 10, CASES // 10
"""Sets with spoilt text in each of nine formats, and with spoilt images."""

WORDS = (
    "nan inf -inf 1e999 1e300 -1e8 0 -0 00 0x10 1_0 1,5 ١٢ ½ None null true one.png ../.. /dev/null"
)
TOKENS = [*WORDS.split(), *"{}[]\"',;:\\/\0\x1c\x85\u2028\ufeffé\r\n\t"]
TOKENS += ["", "9" * 400, "x" * 5000, "[" * 3000]

Files = dict[Path, str]


def wflw_files(root: Path) -> Files:
    lines = [f"20 30 44 30 3{row} 50 10 12 54 60 0 1 0 0 0 1 one.png" for row in range(3)]
    subset = "20 30 44 30 30 50 one.png\n"
    return {
        root / list_path("train", 3): "\n".join(lines) + "\n",
        root / list_path("test", 3): lines[0] + "\n",
        root / subset_path("blur", 3): subset,
    }


def pts_files(root: Path) -> Files:
    text = "version: 1\nn_points: 3\n{\n20.5 30\n44 30\n32 50\n}\n"
    return {root / "train" / "one.pts": text, root / "test" / "two.pts": text}


def csv_files(root: Path) -> Files:
    text = "\n".join([CSV_HEADER, CSV_ROW, CSV_ROW.replace("20.5", "21")]) + "\n"
    return {root / "train.csv": text, root / "test.csv": text}


def coco_files(root: Path) -> Files:
    points = [20.5, 30, 2, 44, 30, 2, 32, 50, 2]
    face = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points, "bbox": [9, 9, 40, 40]}
    content = {
        "images": [{"id": 1, "file_name": "one.png", "width": 64, "height": 64}],
        "annotations": [face, {**face, "id": 2, "attributes": {"blur": 1}}],
        "categories": [{"id": 1, "name": "face", "keypoints": list(TRIO.points)}],
    }
    return {root / "annotations" / "train.json": json.dumps(content)}


def imglab_files(root: Path) -> Files:
    parts = '<part name="0" x="20" y="30"/><part name="1" x="44" y="30"/>'
    parts += '<part name="chin" x="32" y="50"/>'
    box = f'<box top="9" left="9" width="40" height="40">{parts}</box>'
    image = f'<image file="one.png" width="32" height="32">\n{box}\n{box}</image>'
    text = f'<?xml version="1.0"?>\n<dataset><images>{image}</images></dataset>\n'
    return {root / "train.xml": text}


def cvat_files(root: Path) -> Files:
    points = "".join(
        f'<points label="{name}" outside="0" occluded="1" points="{x},{y}"/>\n'
        for name, x, y in (("left", 20.5, 30), ("right", 44, 30), ("chin", 32, 50))
    )
    skeleton = f'<skeleton label="f">{points}<attribute name="blur">true</attribute></skeleton>'
    flat = '<points label="f" points="20,30;44,30;32,50"/>'
    image = f'<image name="one.png" width="32" height="32">{skeleton}{flat}</image>'
    return {root / "annotations.xml": f"<annotations>{image}</annotations>"}


def labelme_files(root: Path) -> Files:
    shapes = [
        {"label": name, "points": [list(xy)], "shape_type": "point", "group_id": 1}
        for name, xy in (("left", (20.5, 30)), ("right", (44, 30)), ("2", (32, 50)))
    ]
    box = {"label": "f", "points": [[9, 9], [49, 60]], "shape_type": "rectangle", "group_id": 1}
    content = {"imagePath": "one.png", "imageWidth": 32, "shapes": [*shapes, box]}
    return {root / "train" / "one.json": json.dumps(content)}


def yolo_files(root: Path) -> Files:
    text = "0 .5 .5 .4 .4 .4 .4 2 .6 .4 1 .5 .6 0\n0 .5 .5 .4 .4 .4 .4 2 .6 .4 1 .5 .6 2\n"
    return {root / "labels" / "train" / "one.txt": text}


def hrnet_files(root: Path) -> Files:
    header = "image_name,scale,center_w,center_h," + ",".join(f"original_{i}" for i in range(6))
    row = "one.png,0.2,16,16,20.5,30,44,30,32,50"
    star = "one.png\t1,2\t20.5,30,44,30,32,50\t0.2\t16\t16\n"
    return {root / "faces_train.csv": f"{header}\n{row}\n{row}\n", root / "test.tsv": star}


FILES: dict[str, Callable[[Path], Files]] = {
    "wflw": wflw_files,
    "pts": pts_files,
    "csv": csv_files,
    "coco": coco_files,
    "imglab": imglab_files,
    "cvat": cvat_files,
    "labelme": labelme_files,
    "yolo": yolo_files,
    "hrnet": hrnet_files,
}
IMAGES: dict[str, tuple[str, ...]] = {
    "wflw": ("WFLW_images/one.png",),
    "pts": ("train/one.png", "test/two.png"),
    "csv": ("one.png",),
    "coco": ("images/one.png",),
    "imglab": ("one.png",),
    "cvat": ("images/one.png",),
    "labelme": ("train/one.png",),
    "yolo": ("images/train/one.png",),
    "hrnet": ("images/one.png",),
}


def write_set(root: Path, format: str) -> Files:
    for seed, name in enumerate(IMAGES[format]):
        add_image(root, name, seed=seed, size=(32, 32))
    files = FILES[format](root)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return files


def spoil_text(text: str, rng: random.Random) -> bytes:
    """One to three changes: of characters, fields, lines or bytes."""
    content = text.encode()
    for _ in range(rng.randint(1, 3)):
        words = content.split(b" ") if b" " in content else content.split(b",")
        joint = b" " if b" " in content else b","
        lines = content.split(b"\n")
        start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        token = rng.choice(TOKENS).encode()
        kind = rng.randrange(9)
        if kind == 0:
            content = content[:start] + token + content[start:]
        elif kind == 1:
            content = content[:start] + token + content[end:]
        elif kind == 2:
            words[rng.randrange(len(words))] = token
            content = joint.join(words)
        elif kind == 3:
            del words[rng.randrange(len(words))]
            content = joint.join(words)
        elif kind == 4:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            content = b"\n".join(lines)
        elif kind == 5:
            del lines[rng.randrange(len(lines))]
            content = b"\n".join(lines)
        elif kind == 6:
            content = content[:start]
        elif kind == 7:
            content = content[:start] + rng.randbytes(rng.randint(1, 4)) + content[start:]
        else:
            digits = [i for i, byte in enumerate(content) if chr(byte).isdigit()] or [0]
            place = rng.choice(digits)
            content = content[:place] + rng.choice(b"-.e9,: ").to_bytes() + content[place + 1 :]
        content = content or b"\n"
    return content


def survive(root: Path, format: str, threads: int | None) -> tuple[int, int]:
    """Check and read a set that may be spoilt; returns how many findings and refusals it gave.

    The check itself never raises while there is a file of a part; readers raise what names files.
    """
    try:
        report = check_data(root, format, TRIO, threads=threads)
    except FileNotFoundError as error:
        assert "looked for" in str(error)  # noqa: PT017
        return 1, 1
    for finding in report.findings:
        assert finding.check in TITLES
        assert finding.place.startswith(str(root))
        assert len(finding.message) > 5
    json.dumps(report.to_json(), allow_nan=False)
    refusals = [refusal(root, format, split) for split in ("train", "test")]
    if any(refusals):
        assert report.exit_code() in (1, 2)
    return len(report.findings), sum(refusals)


def refusal(root: Path, format: str, split: Split) -> bool:
    """Whether the reader refuses a part that is there; if not, its numbers are finite."""
    if not has_split(root, format, split, TRIO):
        return False
    parsed = parse_annotations(root, format, split, TRIO)
    if parsed.faults:
        with pytest.raises(ValueError, match=r"^faces of .*fault") as caught:
            read_annotations(root, format, split, TRIO)
        assert str(caught.value).count(str(root)) >= 2
        return True
    faces = read_annotations(root, format, split, TRIO)
    assert np.isfinite(faces.landmarks[faces.labelled]).all()
    assert np.isfinite(faces.boxes).all()
    return False


@pytest.mark.parametrize("format", FILES)
def test_spoilt_text_gives_findings(tmp_path, format):
    rng = random.Random(f"text {format}")
    files = write_set(tmp_path, format)
    findings = refusals = 0
    for case in range(TEXT_CASES):
        path, text = rng.choice(list(files.items()))
        path.write_bytes(spoil_text(text, rng))
        try:
            found, refused = survive(tmp_path, format, threads=None)
        except Exception as error:
            error.add_note(f"case {case} of {format}: {path.read_bytes()[:300]!r}")
            raise
        findings, refusals = findings + found, refusals + refused
        path.write_text(text)
    assert findings > TEXT_CASES / 3
    assert refusals > TEXT_CASES / 10


def spoil_image(content: bytes, rng: random.Random) -> bytes:
    """Cut off, flipped bits, header bytes, zeros in the middle, or something put in."""
    start, end = sorted(rng.randrange(len(content)) for _ in range(2))
    kind = rng.randrange(6)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + bytes(end - start) + content[end:]
    if kind == 2:
        return content[:start] + rng.randbytes(8) + content[start:]
    if kind == 3:
        return rng.randbytes(start)
    spoilt = bytearray(content)
    reach = len(content) if kind == 4 else min(220, len(content))
    for _ in range(rng.randint(1, 6)):
        spoilt[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def test_spoilt_images_give_findings(tmp_path):
    rng = random.Random("images")
    write_set(tmp_path, "csv")
    image = cv2.imread(str(tmp_path / "one.png"))
    whole = [cv2.imencode(suffix, image)[1].tobytes() for suffix in (".jpg", ".png")]
    whole.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    findings = 0
    for case in range(IMAGE_CASES):
        spoilt = spoil_image(rng.choice(whole), rng)
        (tmp_path / "one.png").write_bytes(spoilt)
        try:
            found, _ = survive(tmp_path, "csv", threads=1)
        except Exception as error:
            error.add_note(f"case {case}: {spoilt[:300]!r}")
            raise
        findings += found > 0
    assert findings > IMAGE_CASES / 2


@pytest.mark.parametrize("format", FILES)
def test_files_that_are_folders_or_links_to_nowhere(tmp_path, format):
    files = write_set(tmp_path, format)
    for path in [*files, *(tmp_path / name for name in IMAGES[format])]:
        content = path.read_bytes()
        for spoil in (path.mkdir, lambda path=path: path.symlink_to(tmp_path / "nowhere")):
            path.unlink()
            spoil()
            try:
                survive(tmp_path, format, threads=1)
            except FileNotFoundError as error:
                assert "looked for" in str(error)  # noqa: PT017
            path.rmdir() if path.is_dir() else path.unlink()
            path.write_bytes(content)
