"""`check_data` on small data sets with one thing wrong each."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from format_files import CSV_HEADER, TRIO, add_image

from sesame_hpc.data.check import Report, check_data
from sesame_hpc.data.check.registry import TITLES

LFPW = Path(__file__).parents[4] / "shared" / "data" / "lfpw68" / "train"
SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "wflw_sample"
BOX, POINTS = (10, 10, 54, 54), (20, 20, 44, 20, 32, 44)


def row(image: str, box=BOX, points=POINTS, blur: int = 0) -> str:
    return ",".join(map(str, (image, *box, *points, blur)))


def write_rows(root: Path, *rows: str, split: str = "train") -> None:
    (root / f"{split}.csv").write_text("\n".join([CSV_HEADER, *rows]) + "\n")


def check(root: Path, **options) -> Report:
    return check_data(root, "csv", TRIO, **options)


def found(report: Report) -> list[tuple[str, str, str]]:
    """Level, check and "file:line" of each finding."""
    return [(each.level, each.check, Path(each.place).name) for each in report.findings]


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        add_image(tmp_path, f"{number}.png", seed=number)
    return tmp_path


def test_a_clean_set_has_nothing_to_say(root):
    write_rows(root, row("0.png"), row("1.png"))
    write_rows(root, row("2.png"), split="test")
    report = check(root)
    assert found(report) == []
    assert [(part.split, part.faces, part.images) for part in report.parts] == [
        ("train", 2, 2),
        ("test", 1, 1),
    ]
    assert report.exit_code() == report.exit_code(strict=True) == 0


def test_faults_of_lines_stand_beside_the_other_faces(root):
    broken = row("1.png").replace("44", "nan", 1)
    write_rows(root, row("0.png"), broken, row("1.png") + ",9", row("gone.png"))
    report = check(root)
    assert found(report) == [
        ("error", "number", "train.csv:3"),
        ("error", "fields", "train.csv:4"),
        ("error", "image", "train.csv:5"),
    ]
    assert (report.parts[0].faces, report.parts[0].faults) == (1, 3)
    assert report.exit_code() == 1


def test_a_set_without_one_face_is_unreadable(root):
    write_rows(root, "nothing")
    assert check(root).exit_code() == 2
    (root / "train.csv").write_bytes(b"\xff")
    report = check(root)
    assert (found(report), report.exit_code()) == ([("error", "text", "train.csv:1")], 2)
    (root / "train.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no train split: looked for .*train\.csv"):
        check(root)


def encoded(suffix: str, image: np.ndarray) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def noise(*shape: int) -> np.ndarray:
    pixels = np.random.default_rng(9).integers(0, 256, shape).astype(np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), 2)


def turned(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that says how to turn it."""
    tiff = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def four_channels(jpeg: bytes) -> bytes:
    """The start of a JPEG of four components: no more than its header is looked at."""
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 20, 8, 64, 64, 4) + bytes(12)
    start = jpeg.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", jpeg, start + 2)
    return jpeg[:start] + frame + jpeg[start + 2 + length :]


def damaged(jpeg: bytes) -> bytes:
    middle = jpeg.index(b"\xff\xda") + (len(jpeg) - jpeg.index(b"\xff\xda")) // 2
    return jpeg[:middle] + b"\xff\x10" * 20 + jpeg[middle + 40 :]


JPEG, PNG = encoded(".jpg", noise(48, 64, 3)), encoded(".png", noise(64, 64, 3))


@pytest.mark.parametrize(
    ("name", "content", "expected", "message"),
    [
        ("a.jpg", b"", ("error", "unreadable"), "is empty"),
        ("a.jpg", JPEG[: len(JPEG) // 2], ("error", "unreadable"), "JPEG that is cut off"),
        ("a.jpg", JPEG[:30], ("error", "unreadable"), "JPEG whose header breaks off"),
        ("a.png", PNG[: len(PNG) // 2], ("error", "unreadable"), "PNG that is cut off"),
        ("a.png", PNG[:99] + b"xx" + PNG[101:], ("error", "unreadable"), "does not decode"),
        (
            "a.jpg",
            b"GIF89a" + bytes(99),
            ("error", "unreadable"),
            "is GIF; valid are JPEG, PNG, BMP, TIFF and WebP",
        ),
        ("a.jpg", b"<html>404</html>", ("error", "unreadable"), "is an HTML page"),
        ("a.jpg", bytes(50), ("error", "unreadable"), "is not an image"),
        ("a.jpg", damaged(JPEG), ("warning", "damaged"), "data are damaged"),
        ("a.jpg", PNG, ("note", "suffix"), "is a PNG by its content"),
        ("a.png", encoded(".png", noise(64, 64)), ("note", "grey"), "is grey"),
        ("a.png", encoded(".png", noise(64, 64, 4)), ("note", "alpha"), "has transparency"),
        ("a.jpg", four_channels(JPEG), ("error", "unreadable"), "does not decode"),
    ],
)
def test_images_that_are_not_what_they_should_be(root, name, content, expected, message):
    (root / name).write_bytes(content)
    write_rows(root, row("0.png"), row(name, points=(20, 20, 44, 20, 32, 40)))
    report = check(root)
    assert found(report) == [(*expected, "train.csv:3")]
    assert message in report.findings[0].message
    assert str(root / name) in report.findings[0].message


def test_cmyk_is_told_from_the_header():
    from sesame_hpc.data.image_header import read_header

    header = read_header(four_channels(JPEG))
    assert header is not None
    assert (header.colours, header.width, header.height) == ("cmyk", 64, 64)


def test_a_turned_image_has_the_size_of_the_upright_one(root):
    """Stored 64 x 48, upright 48 x 64: a landmark at y = 60 is inside, one at x = 60 is not."""
    (root / "a.jpg").write_bytes(turned(JPEG, 6))
    write_rows(root, row("a.jpg", points=(10, 20, 40, 20, 32, 60)))
    assert found(check(root))[0] == ("warning", "rotated", "train.csv:2")
    assert [each.check for each in check(root).findings] == ["rotated", "outside-crop"]
    write_rows(root, row("a.jpg", points=(20, 20, 60, 20, 32, 40)))
    assert "outside-image" in [each.check for each in check(root).findings]


def test_the_floor_is_what_the_crop_costs(root):
    """The window is 44 * 1.2 wide around (32, 32): x to 58.4. One of three points 10 px beyond."""
    write_rows(root, row("0.png"), row("1.png", points=(20, 20, 44, 20, 68.4, 32)))
    report = check(root, threads=None)
    (finding,) = report.findings
    assert (finding.level, finding.check) == ("warning", "outside-crop")
    assert finding.value == pytest.approx(100 * 10 / 3 / 24)
    assert "1 landmark outside the square crop of 1.2 boxes; no model can come below 13.889 %" in (
        finding.message
    )
    assert report.parts[0].crop_floor == pytest.approx(100 * 10 / 3 / 24 / 2)
    assert report.parts[0].faces_outside_crop == 1
    assert found(check(root, threads=None, crop_scale=2)) == []


def test_the_floor_is_that_of_the_box_protocol(root):
    """Of a box twice as high as wide, letterbox leaves black what lies beside it."""
    beside, beyond = (20, 20, 34, 20, 42, 32), (20, 20, 34, 20, 60, 32)
    for points in (beside, beyond):
        write_rows(root, row("0.png", box=(16, 10, 38, 54), points=points))
        square, letterbox, landmarks = (
            check(root, threads=None, protocol=name)
            for name in ("square", "letterbox", "landmarks")
        )
        assert landmarks.parts[0].crop_floor == 0
        assert square.parts[0].crop_floor == letterbox.parts[0].crop_floor
        assert bool(square.parts[0].crop_floor) == (points == beyond)
        black = [each for each in letterbox.findings if each.check == "in-black"]
        assert [each.level for each in black] == ["note"] * (points == beside)
        assert letterbox.to_json()["box"] == {"protocol": "letterbox", "scale": 1.2}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (row("1.png", box=(0, 0, 8, 8)), ("error", "box-misses-face")),
        (row("1.png", box=(10, 10, 54, 19)), ("error", "box-misses-face")),
        (row("1.png", box=(10, 21, 54, 54)), ("warning", "box-misses-face")),
        (row("1.png", points=(30, 20, 31, 20, 32, 44)), ("warning", "short-normaliser")),
        (row("1.png", points=(30, 30, 32, 30, 31, 33)), ("note", "short-normaliser")),
        (row("1.png", points=(20, 20, 44, 20, 32, 64.5)), ("note", "outside-image")),
        (row("1.png", points=(20, 20, 44, 20, 32, 99)), ("warning", "outside-image")),
        (row("1.png", box=(70, 0, 90, 20)), ("error", "box-outside-image")),
    ],
)
def test_numbers_that_do_not_fit_together(root, line, expected):
    write_rows(root, row("0.png"), line)
    assert (*expected, "train.csv:3") in found(check(root))


def test_the_same_line_again_and_the_same_bytes_again(root):
    (root / "copy.png").write_bytes((root / "0.png").read_bytes())
    write_rows(root, row("0.png"), row("1.png"), row("0.png", blur=1), row("copy.png"))
    report = check(root)
    assert found(report) == [
        ("warning", "same-face", "train.csv:4"),
        ("warning", "same-image", "train.csv:5"),
    ]
    assert [Path(each.related[0]).name for each in report.findings] == ["train.csv:2"] * 2


def shifted_copy(root: Path, name: str) -> tuple[int, ...]:
    """Writes image 0 brighter, twice as large and cropped; returns its landmarks."""
    image = cv2.imread(str(root / "0.png"))
    large = cv2.resize(image, (128, 128), interpolation=cv2.INTER_CUBIC)[6:, 10:]
    bright = cv2.convertScaleAbs(large, alpha=0.8, beta=40)
    cv2.imwrite(str(root / name), bright, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return tuple(2 * value - (6 if i % 2 else 10) for i, value in enumerate(POINTS))


def test_one_photograph_under_another_name_is_recognised(root):
    points = shifted_copy(root, "other.jpg")
    box = tuple(2 * value - 8 for value in BOX)
    write_rows(root, row("0.png"), row("1.png"), row("other.jpg", box, points), row("2.png"))
    report = check(root)
    assert found(report) == [("warning", "look-alike", "train.csv:4")]
    assert "other.jpg shows the photograph 0.png; likeness 0.9" in report.findings[0].message
    assert Path(report.findings[0].related[0]).name == "train.csv:2"


def test_a_face_labelled_twice_in_one_image(root):
    write_rows(root, row("0.png"), row("0.png", points=(20, 20.5, 44, 20, 32, 44.5)))
    assert found(check(root)) == [("warning", "labelled-twice", "train.csv:3")]


def test_faces_of_test_in_train(root):
    points = shifted_copy(root, "other.jpg")
    (root / "copy.png").write_bytes((root / "1.png").read_bytes())
    write_rows(root, row("0.png"), row("1.png"), row("2.png"))
    write_rows(root, row("copy.png"), row("other.jpg", (12, 12, 100, 100), points), split="test")
    assert found(check(root)) == [
        ("error", "test-in-train", "test.csv:2"),
        ("warning", "test-in-train", "test.csv:3"),
    ]
    write_rows(root, row("2.png"), split="test")
    assert found(check(root)) == [
        ("error", "test-in-train", "test.csv:2"),
        ("note", "image-in-both", "train.csv:4"),
    ]


def test_notes_count_where_asked(root):
    (root / "a.jpg").write_bytes(PNG)
    write_rows(root, row("a.jpg"))
    report = check(root)
    assert (report.exit_code(), report.exit_code(strict=True)) == (0, 1)


def test_the_report_as_json_holds_all(root):
    write_rows(root, row("0.png"), row("0.png"))
    content = json.loads(json.dumps(check(root).to_json(), allow_nan=False))
    assert content["counts"] == {"error": 0, "warning": 1, "note": 0}
    (finding,) = content["findings"]
    assert finding["check"] == "same-face"
    assert finding["title"] == TITLES["same-face"]
    assert content["parts"][0]["faces"] == 2


def test_copies_and_swapped_points_among_real_faces_are_found_and_nothing_else():
    """Points 61 and 67, and 53 and 64, are swapped in the labels of two of the 805 faces."""
    if not LFPW.is_dir():
        pytest.skip(f"the faces {LFPW} are not on this machine")
    report = check_data(LFPW)
    swapped = [each for each in report.findings if each.check == "swapped-points"]
    assert [Path(each.place).name for each in swapped] == ["image_0190.pts:1", "image_0812.pts:1"]
    others = [each for each in report.findings if each not in swapped]
    assert {each.check for each in others} == {"look-alike"}
    alike = {place for each in others for place in (each.place, *each.related)}
    assert 60 <= len(others) <= 68
    assert 100 <= len(alike) <= 108


def test_the_bad_box_of_the_official_sample_is_found():
    if not SAMPLE.is_dir():
        pytest.skip(f"the sample faces {SAMPLE} are not on this machine")
    report = check_data(SAMPLE)
    line = "list_98pt_rect_attr_train.txt"
    assert found(report) == [
        ("warning", "box-misses-face", f"{line}:3"),
        ("warning", "outside-crop", f"{line}:3"),
        ("note", "official-size", line),
    ]
    assert report.parts[0].crop_floor == pytest.approx(0.761, abs=1e-3)
