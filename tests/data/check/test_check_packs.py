"""`check_data` and sheets of packs: what holds, and one thing wrong each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from format_files import TRIO, add_image

from sesame_hpc.config.schema import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check import Report, check_data
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.pack import PackSettings, read_pack, read_settings, write_pack
from sesame_hpc.data.pack.layout import StoredImage, open_shard, write_shard
from sesame_hpc.data.viewing.draw import region_colours
from sesame_hpc.data.viewing.face_image import face_image, read_rgb
from sesame_hpc.data.viewing.show import contact_sheet

POINTS = np.array([[180.0, 180.0], [216.0, 180.0], [198.0, 220.0]])
SHARD = "train-00000.shard"


@pytest.fixture
def faces(tmp_path) -> Annotations:
    """Three small faces in large images, the last two in one."""
    names = [f"{number}.png" for number in (0, 1, 1)]
    for number in range(2):
        add_image(tmp_path, f"{number}.png", seed=number, size=(400, 400))
    shifts = np.array([[0.0, 0.0], [0.0, 0.0], [60.0, 40.0]])
    return Annotations(
        scheme=TRIO,
        root=tmp_path,
        images=tuple(names),
        boxes=np.array([170.0, 170.0, 230.0, 230.0]) + np.tile(shifts, 2),
        landmarks=POINTS + shifts[:, None],
        attributes=np.zeros((3, 0), dtype=bool),
        attribute_names=(),
        sources=tuple(f"faces.csv:{row + 2}" for row in range(3)),
        sample_ids=np.arange(3) + 7,
    )


def packed(faces: Annotations, out: Path, **settings) -> Path:
    write_pack({"train": faces}, out, PackSettings(**settings))
    return out


def found(report: Report) -> list[tuple[str, str]]:
    return [(each.level, each.check) for each in report.findings]


@pytest.mark.parametrize("size", [None, 32], ids=["originals", "crops"])
def test_a_clean_pack_has_nothing_to_say(faces, tmp_path, size):
    report = check_data(packed(faces, tmp_path / "pack", size=size))
    assert found(report) == []
    assert (report.format, report.scheme, report.exit_code(strict=True)) == ("pack", "trio", 0)
    assert (report.parts[0].faces, report.parts[0].images) == (3, 2)
    assert ("EXIF" in " ".join(report.unchecked)) == (size is not None)


@pytest.mark.parametrize("size", [None, 32], ids=["originals", "crops"])
def test_a_changed_byte_is_found_by_its_sample(faces, tmp_path, size):
    root = packed(faces, tmp_path / "pack", size=size)
    content = bytearray((root / SHARD).read_bytes())
    content[40] ^= 1
    (root / SHARD).write_bytes(content)
    report = check_data(root)
    assert found(report) == [("error", "unreadable")]
    assert report.findings[0].place == "faces.csv:2"
    assert "(sample 7 of the pack) cannot be read: " in report.findings[0].message
    assert f"{SHARD}: the checksum of sample 7" in report.findings[0].message


def test_a_missing_shard_leaves_no_face(faces, tmp_path):
    root = packed(faces, tmp_path / "pack")
    (root / SHARD).unlink()
    report = check_data(root)
    assert (found(report), report.exit_code()) == ([("error", "pack")], 2)
    assert f"{SHARD}: no such shard" in report.findings[0].message


def test_another_version_is_refused(faces, tmp_path):
    manifest = packed(faces, tmp_path / "pack") / "pack.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 99}))
    with pytest.raises(ValueError, match="not a pack of version 1"):
        check_data(manifest.parent)


def rewrite_index(root: Path, change) -> None:
    """The shard again, with an index and checksums that `change` has been at."""
    shard = open_shard(root / SHARD)
    images = [
        StoredImage(
            int(record["sample_id"]),
            str(number),
            shard.encoded(record).tobytes(),
            bool(record["original"]),
            tuple(record["region"].tolist()),
            tuple(record["stored"].tolist()),
            tuple(record["image"].tolist()),
        )
        for number, record in enumerate(shard.index)
    ]
    write_shard(root / SHARD, change(images), bytes(16))


@pytest.mark.parametrize(
    ("change", "expected", "message"),
    [
        (
            lambda p: [replace(p[0], stored=(9, 9)), *p[1:]],
            ["unreadable"],
            "pixels, but 9 x 9 in the index",
        ),
        (
            lambda p: [replace(p[0], region=(-5, 0, 90, 90)), *p[1:]],
            ["pack"],
            "the shard's index has images of no size",
        ),
        (
            lambda p: [replace(p[0], region=(0, 0, 900, 900)), *p[1:]],
            ["pack-index"],
            "the stored region (0, 0, 900, 900) is not part of an image of 400 x 400",
        ),
        (
            lambda p: [*p, replace(p[0], sample_id=99)],
            ["pack-index"],
            "train: 1 images of no face, first sample 99",
        ),
        (lambda p: [*p, p[1]], ["pack-index"], "1 images stored twice, first sample 8"),
        (lambda p: p[1:], ["pack"], "sample 7 has no image in"),
        (
            lambda p: [replace(p[0], region=(0, 0, 200, 200)), *p[1:]],
            ["pack-crop", "pack-reach"],
            "2 landmarks of the image outside the stored crop (0, 0, 200, 200)",
        ),
    ],
)
def test_an_index_that_is_not_what_it_should_be(faces, tmp_path, change, expected, message):
    root = packed(faces, tmp_path / "pack", size=32)
    rewrite_index(root, change)
    report = check_data(root)
    assert [check for _, check in found(report)] == expected
    assert message in report.findings[0].message


def test_crops_are_judged_by_the_boxes_of_the_pack(faces, tmp_path):
    wide = replace(faces, landmarks=faces.landmarks * [1.0, 0.8] + [0, 40])
    root = packed(wide, tmp_path / "pack", size=32, box=BoxConfig(protocol="landmarks", scale=1.3))
    report = check_data(root)
    assert (report.box.protocol, report.box.scale) == ("landmarks", 1.3)
    assert found(report) == []
    other = check_data(root, protocol="square")
    assert ("warning", "pack-reach") in found(other)
    assert "square boxes: " in other.findings[-1].message


def test_settings_come_back(faces, tmp_path):
    settings = PackSettings(size=24, quality=80, box=BoxConfig(train_scale=(1.0, 1.3)))
    write_pack({"train": faces}, tmp_path / "pack", settings)
    assert read_settings(tmp_path / "pack") == settings


@pytest.mark.parametrize("size", [None, 64], ids=["originals", "crops"])
def test_a_sheet_of_a_pack_shows_the_same_faces(faces, tmp_path, size):
    again = read_pack(packed(faces, tmp_path / "pack", size=size), "train")
    sheets = [
        read_rgb(contact_sheet(each, tmp_path / f"{number}.png", columns=3, size=128)).astype(int)
        for number, each in enumerate((faces, again))
    ]
    assert np.abs(sheets[0] - sheets[1]).mean() < 4
    eyes = np.array(region_colours(TRIO)["eyes"])
    drawn = [(np.abs(sheet - eyes) < 40).all(axis=2) for sheet in sheets]
    assert (drawn[0] & drawn[1]).sum() > 0.6 * drawn[0].sum() > 0


def test_the_image_of_a_face_comes_with_its_place(faces, tmp_path):
    again = read_pack(packed(faces, tmp_path / "pack", size=32), "train")
    for row in range(3):
        image, matrix = face_image(again, row)
        assert image.shape[0] < 400
        whole, _ = face_image(faces, row)
        (place,) = apply(matrix, faces.landmarks[row][:1])
        x, y = faces.landmarks[row][0].astype(int)
        stored = cv2.getRectSubPix(image, (1, 1), tuple(place - 0.5)).ravel().astype(int)
        assert np.abs(stored - whole[y - 1 : y + 1, x - 1 : x + 1].mean(axis=(0, 1))).max() < 16
    shutil.rmtree(tmp_path / "pack")
