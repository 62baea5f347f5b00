"""Checks of data that could be read as it stands, and is wrong."""

import numpy as np
import pytest
from five_faces import (
    FIVE,
    SIZE,
    add_images,
    boxes_of,
    coco_of,
    coco_set,
    csv_text,
    points_of,
    write_coco,
)

from sesame_hpc.data.check import check_data


def found(root, format, threads=None, **options):
    findings = check_data(root, format, FIVE, threads=threads, **options).findings
    return {each.check: each for each in findings}


def write_csv(root, points):
    (root / "train.csv").write_text(csv_text(add_images(root), points))


def test_right_faces_have_nothing_to_say(tmp_path):
    write_coco(tmp_path, coco_set(tmp_path))
    assert found(tmp_path, "coco", threads=1) == {}


@pytest.mark.parametrize("with_boxes", [True, False])
def test_fractions_of_the_image_are_not_pixels(tmp_path, with_boxes):
    points = points_of() / SIZE
    write_coco(tmp_path, coco_of(add_images(tmp_path / "images"), points + 0.5, with_boxes))
    finding = found(tmp_path, "coco")["units"]
    assert finding.level == "error"
    assert "fractions of the image's size (0 to 1)" in finding.message


def test_percent_are_not_pixels(tmp_path):
    names = add_images(tmp_path, 4)
    from format_files import add_image

    for number, name in enumerate(names):
        add_image(tmp_path, name, seed=number, size=(400, 500))
    (tmp_path / "train.csv").write_text(csv_text(names, points_of(4) / SIZE * 100))
    assert "percent" in found(tmp_path, "csv", threads=1)["units"].message


@pytest.mark.parametrize("sentinel", [(-1.0, -1.0), (0.0, 0.0)])
@pytest.mark.parametrize("count", [1, 8])
def test_numbers_that_stand_for_missing_points(tmp_path, sentinel, count):
    points = points_of()
    points[:count, 2] = sentinel
    write_csv(tmp_path, points)
    finding = found(tmp_path, "csv")["sentinel"]
    assert finding.level == "error"
    assert "--missing={:g},{:g}".format(*sentinel) in finding.message
    findings = found(tmp_path, "csv", missing=sentinel)
    assert "sentinel" not in findings
    assert "odd-shape" not in findings


def test_several_points_of_a_face_at_one_place(tmp_path):
    points = points_of()
    points[3, 2:] = (70, 80)
    write_csv(tmp_path, points)
    assert (
        "3 points of 1 face are at exactly (70, 80)" in found(tmp_path, "csv")["sentinel"].message
    )


def test_corners_where_width_and_height_are_meant(tmp_path):
    content = coco_set(tmp_path)
    for face, box in zip(content["annotations"], boxes_of(points_of()), strict=True):
        face["bbox"] = box.tolist()
    write_coco(tmp_path, content)
    finding = found(tmp_path, "coco")["box-convention"]
    assert "x_min, y_min, x_max, y_max stand where x, y, width, height" in finding.message


def test_width_and_height_where_corners_are_meant(tmp_path):
    points = points_of() - (10, 5)
    boxes = boxes_of(points)
    boxes[:, 2:] -= boxes[:, :2]
    lines = csv_text(add_images(tmp_path), points).splitlines()
    rows = [f"{line},{','.join(map(str, box))}" for line, box in zip(lines[1:], boxes, strict=True)]
    header = lines[0] + ",x_min,y_min,x_max,y_max"
    (tmp_path / "train.csv").write_text("\n".join([header, *rows]))
    report = check_data(tmp_path, "csv", FIVE, threads=None)
    hints = [each for each in report.findings if each.check in ("box", "box-convention")]
    assert hints
    assert all("width" in each.message for each in hints)


def test_boxes_several_times_their_landmarks_and_beyond_the_image(tmp_path):
    content = coco_set(tmp_path)
    content["annotations"][2]["bbox"] = [-50, -50, 230, 220]
    write_coco(tmp_path, content)
    findings = found(tmp_path, "coco")
    assert findings["box-size"].place.endswith("annotations[2]")
    content["annotations"][2]["bbox"] = [-50, 20, 150, 80]
    write_coco(tmp_path, content)
    assert "50 px beyond the image" in found(tmp_path, "coco")["box-beyond-image"].message


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ((SIZE[0] // 2, SIZE[1] // 2), "a copy of another size"),
        (SIZE[::-1], "width and height are swapped"),
    ],
)
def test_stated_sizes_that_the_files_do_not_have(tmp_path, stated, words):
    scale = stated[0] / SIZE[0] if stated != SIZE[::-1] else 1
    content = coco_of(add_images(tmp_path / "images"), points_of() * scale)
    for image in content["images"]:
        image["width"], image["height"] = stated
    write_coco(tmp_path, content)
    finding = found(tmp_path, "coco", threads=1)["stated-size"]
    assert finding.level == "error"
    assert words in finding.message


def test_a_size_that_is_merely_wrong_is_a_note(tmp_path):
    content = coco_set(tmp_path)
    for image in content["images"]:
        image["width"] = image["height"] = 100
    write_coco(tmp_path, content)
    assert found(tmp_path, "coco", threads=1)["stated-size"].level == "note"


def test_swapped_points_and_exchanged_sides_are_named(tmp_path):
    points = points_of()
    points[5] = points[5][list(FIVE.mirror)]
    points[7, [0, 3]] = points[7, [3, 0]]
    write_csv(tmp_path, points)
    findings = found(tmp_path, "csv")
    assert findings["mirrored-face"].place.endswith("train.csv:7")
    assert findings["swapped-points"].place.endswith("train.csv:9")
    assert "points 0 (eye_l) and 3 (mouth_l) look swapped" in findings["swapped-points"].message


def test_a_point_far_from_its_place_is_named(tmp_path):
    points = points_of(120)
    points[40, 2] += (30, 20)
    write_csv_of(tmp_path, points)
    finding = found(tmp_path, "csv")["odd-shape"]
    assert finding.place.endswith("train.csv:42")
    assert "2 (nose)" in finding.message
    assert finding.value > 10


def write_csv_of(root, points):
    (root / "train.csv").write_text(csv_text(["face_0.png"] * len(points), points))
    add_images(root, 1)


def test_statistics_do_not_depend_on_place_and_size():
    from sesame_hpc.data.check.shape_statistics import fit_shapes

    points = points_of(60)
    rng = np.random.default_rng(0)
    moved = points * rng.uniform(0.2, 5, (60, 1, 1)) + rng.uniform(-500, 500, (60, 1, 2))
    np.testing.assert_allclose(fit_shapes(moved)[1], fit_shapes(points)[1], rtol=1e-6)


def test_findings_are_drawn_the_gravest_first(tmp_path):
    from typer.testing import CliRunner

    from sesame_hpc.cli.main import app

    points = points_of()
    points[7, [0, 3]] = points[7, [3, 0]]
    write_coco(tmp_path, coco_of(add_images(tmp_path / "images"), points))
    scheme = tmp_path / "five.yaml"
    scheme.write_text(
        "name: five\npoints: [eye_l, eye_r, nose, mouth_l, mouth_r]\n"
        "regions: {eyes: '0-1', nose: 2, mouth: '3-4'}\nmirror: [1, 0, 2, 4, 3]\n"
        "normaliser: [0, 1]\nedges: {open: ['3-4']}\n"
    )
    sheet = tmp_path.with_name(f"{tmp_path.name}.png")
    options = ["--findings", "--scheme", str(scheme), "--out", str(sheet)]
    result = CliRunner().invoke(app, ["data", "show", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    assert "1 of 16 faces drawn" in result.output.replace("\n", " ")
    assert sheet.is_file()
