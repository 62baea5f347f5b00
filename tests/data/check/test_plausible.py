"""Checks of data that could be read as it stands, and is wrong."""

from dataclasses import replace

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


def test_single_faces_in_fractions_are_named(tmp_path):
    points = points_of()
    points[3:9:2] /= SIZE
    write_csv(tmp_path, points)
    finding = found(tmp_path, "csv")["units"]
    assert "no coordinate of 3 faces of 16 is above" in finding.message
    assert finding.place.endswith("train.csv:5")
    assert "sentinel" not in found(tmp_path, "csv")


@pytest.mark.parametrize("sentinel", [(9999.0, 9999.0), (65535.0, 65535.0), (255.0, 255.0)])
def test_large_numbers_that_stand_for_missing_points(tmp_path, sentinel):
    points = points_of()
    points[[3, 7], [2, 4]] = sentinel
    write_csv(tmp_path, points)
    message = found(tmp_path, "csv", threads=1)["sentinel"].message
    assert "2 points of 2 faces are at exactly ({:g}, {:g})".format(*sentinel) in message


@pytest.mark.parametrize("corner", [SIZE, (SIZE[0] - 1, SIZE[1] - 1), (SIZE[0], 0), (0.5, SIZE[1])])
def test_points_in_corners_of_their_images(tmp_path, corner):
    points = points_of()
    points[[3, 7, 9], [2, 4, 0]] = corner
    write_csv(tmp_path, points)
    message = found(tmp_path, "csv", threads=1)["sentinel"].message
    assert "3 points of 3 faces are exactly in a corner of their image" in message


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


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("faces", [8, 16])
@pytest.mark.parametrize("sentinel", [(-1.0, -1.0), (0.0, 0.0), SIZE])
def test_points_that_are_missing_are_no_odd_shapes_beside(tmp_path, faces, sentinel):
    points = points_of()
    points[:faces, 3:] = sentinel
    write_csv(tmp_path, points)
    findings = found(tmp_path, "csv", threads=1)
    assert {"orientation", "odd-shape", "swapped-points"}.isdisjoint(findings)
    assert f"{2 * faces} points of {faces} faces are" in findings["sentinel"].message


@pytest.mark.parametrize("place", [(-9999.0, -9999.0), (1e6, 1e6), (-500.0, 4000.0)])
def test_a_single_point_far_outside_its_image(tmp_path, place):
    points = points_of()
    points[3, 2] = place
    write_csv(tmp_path, points)
    findings = found(tmp_path, "csv", threads=1)
    assert "1 point is at exactly ({:g}, {:g})".format(*place) in findings["sentinel"].message
    assert "odd-shape" not in findings


def test_several_points_of_a_face_at_one_place(tmp_path):
    points = points_of()
    points[3, 2:] = (70, 80)
    write_csv(tmp_path, points)
    assert (
        "3 points of 1 face are at exactly (70, 80)" in found(tmp_path, "csv")["sentinel"].message
    )


def test_two_points_of_a_face_at_one_place(tmp_path):
    points = points_of()
    points[3, 3] = points[3, 4]
    write_csv(tmp_path, points)
    finding = found(tmp_path, "csv")["coincident-points"]
    assert finding.place.endswith("train.csv:5")
    assert "points 3 (mouth_l) and 4 (mouth_r) are at one place" in finding.message
    points[9, 3] = points[9, 4] + 0.1  # as closed lips: this is how some faces are
    write_csv(tmp_path, points)
    assert "coincident-points" not in found(tmp_path, "csv")


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


BOXES = boxes_of(points_of())
MIDDLES, SIDES = (BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]


def write_boxes(root, boxes):
    lines = csv_text(add_images(root), points_of()).splitlines()
    rows = [f"{line},{','.join(map(str, box))}" for line, box in zip(lines[1:], boxes, strict=True)]
    (root / "train.csv").write_text("\n".join([lines[0] + ",x_min,y_min,x_max,y_max", *rows]))


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (BOXES[:, [1, 0, 3, 2]], "y stands before x"),
        (BOXES / np.array([*SIZE, *SIZE]), "they are fractions of the image's size"),
        (BOXES / np.array([*SIZE, *SIZE]) * 100, "they are percent of the image's size"),
        (BOXES / 2, "they are of an image of half the size"),
        (BOXES * 2, "they are of an image of twice the size"),
        (np.roll(BOXES, 1, axis=0), "they are those of the row behind"),
        (np.concatenate([MIDDLES, MIDDLES + SIDES], axis=1), "the middle of the box stands where"),
    ],
)
def test_other_meanings_of_the_numbers_of_boxes(tmp_path, boxes, words):
    write_boxes(tmp_path, boxes)
    finding = found(tmp_path, "csv", threads=1)["box-convention"]
    assert finding.level == "error"
    assert words in finding.message


def in_the_middle(count=24):
    """Points [N, 5, 2] whose tight boxes are in the middle of square images, to half a pixel."""
    points = points_of(count)
    middles = (points.min(axis=1) + points.max(axis=1)) / 2
    off = np.random.default_rng(1).uniform(-0.5, 0.5, (count, 1, 2))
    return points - middles[:, None] + 64 + off


MIDDLE = in_the_middle()
TIGHT = np.concatenate([MIDDLE.min(axis=1), MIDDLE.max(axis=1)], axis=1)
TURNED = np.concatenate([TIGHT[:, :2], TIGHT[:, :2] + (TIGHT[:, 2:] - TIGHT[:, :2])[:, ::-1]], 1)
NOISE = np.random.default_rng(2).normal(0, 1.5, TIGHT.shape)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (TIGHT[:, [1, 0, 3, 2]], "better if y stands before x"),
        ((TIGHT + NOISE / 2)[:, [1, 0, 3, 2]], "better if y stands before x"),
        (TURNED, "better if height stands before width"),
        (TURNED[:, [1, 0, 3, 2]], "better if y stands before x, and"),
        (TIGHT, None),
        (TIGHT + NOISE, None),
        (TIGHT + np.array([-9, -20, 9, 4]) + NOISE, None),
        (np.concatenate([MIDDLE.mean(axis=1) - 40, MIDDLE.mean(axis=1) + 40], axis=1), None),
    ],
)
def test_exchanged_numbers_of_boxes_in_the_middle_of_square_images(tmp_path, boxes, words):
    names = add_images(tmp_path, len(MIDDLE), (128, 128))
    lines = csv_text(names, MIDDLE).splitlines()
    rows = [f"{line},{','.join(map(str, box))}" for line, box in zip(lines[1:], boxes, strict=True)]
    (tmp_path / "train.csv").write_text("\n".join([lines[0] + ",x_min,y_min,x_max,y_max", *rows]))
    finding = found(tmp_path, "csv").get("box-convention")
    assert (finding is None) == (words is None), finding
    if finding is not None:
        assert (finding.level, words in finding.message) == ("error", True), finding


def test_single_boxes_written_in_another_way_and_single_odd_ones(tmp_path):
    tight = np.concatenate([points_of().min(axis=1) - 1, points_of().max(axis=1) + 1], axis=1)
    boxes = tight.copy()
    boxes[5, 2:] += boxes[5, :2]
    write_boxes(tmp_path, boxes)
    finding = found(tmp_path, "csv", threads=1)["box-convention"]
    assert finding.place.endswith("train.csv:7")
    boxes = BOXES.copy()
    boxes[5] = np.concatenate([MIDDLES[5] - 0.8 * SIDES[5], MIDDLES[5] + 0.8 * SIDES[5]])
    write_boxes(tmp_path, boxes)
    findings = found(tmp_path, "csv", threads=1)
    assert findings["odd-box"].place.endswith("train.csv:7")
    assert "1.5 times as large as usual" in findings["odd-box"].message
    assert "box-convention" not in findings
    write_boxes(tmp_path, BOXES)
    assert found(tmp_path, "csv", threads=1) == {}


def test_boxes_of_a_whole_set_three_times_as_large_as_68_points(tmp_path):
    from sesame_hpc.schemes import load_scheme

    scheme = load_scheme("ibug68")
    points = np.random.default_rng(3).uniform(40, 80, (20, 68, 2))
    middles = points.mean(axis=1)
    boxes = np.concatenate([middles - 62, middles + 62], axis=1)
    header = ",".join(["image", "x_min", "y_min", "x_max", "y_max"])
    header += "".join(f",x{i},y{i}" for i in range(68))
    rows = [
        ",".join([name, *map(str, box), *map(str, own.ravel())])
        for name, box, own in zip(add_images(tmp_path, 20), boxes, points, strict=True)
    ]
    (tmp_path / "train.csv").write_text("\n".join([header, *rows]))
    findings = check_data(tmp_path, "csv", scheme, threads=None).findings
    assert sum(each.check == "box-size" for each in findings) == 20


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        (lambda points: points[..., ::-1], "x and y look exchanged"),
        (lambda points: points * (1, -1) + (0, SIZE[1]), "y counts from above"),
        (lambda points: points[:, list(FIVE.mirror)], "left and right are those of the image"),
        (lambda points: points[:, [0, 1, 3, 4, 2]], "in another order than that of scheme five"),
        (lambda points: points[:, [2, 0, 1, 3, 4]], "in another order than that of scheme five"),
    ],
)
def test_axes_and_sides(tmp_path, moved, words):
    named = replace(
        FIVE,
        points=("eye_image_left", "eye_image_right", "nose", "mouth_image_left", "mouth_right"),
    )
    write_csv(tmp_path, moved(points_of()))
    findings = check_data(tmp_path, "csv", named, threads=None).findings
    (finding,) = [each for each in findings if each.check == "orientation"]
    assert finding.level == "error"
    assert words in finding.message


def test_a_face_whose_points_are_turned_is_named(tmp_path):
    points = points_of(120)
    middle = points[40].mean(axis=0)
    points[40] = (points[40] - middle) @ np.array([[0, 1], [-1, 0]]) + middle
    write_csv_of(tmp_path, points)
    finding = found(tmp_path, "csv")["turned-face"]
    assert finding.place.endswith("train.csv:42")
    assert 60 < abs(finding.value) < 120


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
    points[[2, 9, 11], 2] = -1
    points[4, 1] = (SIZE[0], SIZE[1])
    points[5, 1] = (SIZE[0], SIZE[1])
    write_coco(tmp_path, coco_of(add_images(tmp_path / "images"), points))
    result = CliRunner().invoke(app, ["data", "show", str(tmp_path), *options])
    assert "6 of 16 faces drawn" in result.output.replace("\n", " "), result.output
