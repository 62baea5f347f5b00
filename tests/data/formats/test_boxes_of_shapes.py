"""Which box is whose, where CVAT and LabelMe files draw boxes and points as separate shapes."""

import json

import numpy as np
import pytest
from five_faces import FIVE, SIZE, add_images

from sesame_hpc.data.formats.readers import parse_annotations, read_annotations

POINTS = np.array([[20, 20], [40, 20], [30, 30], [22, 40], [38, 40]], float)
BESIDE = POINTS + np.array([60, 40])
FIRST, SECOND, AROUND = (12, 10, 50, 52), (72, 50, 110, 92), (2, 2, 130, 110)


def tag(name, text, group=None):
    return f'<{name} label="face" {text}' + (f' group_id="{group}"' if group else "")


def points_tag(points, group=None):
    listed = ";".join(f"{x},{y}" for x, y in points.tolist())
    return tag("points", f'points="{listed}"', group) + "/>"


def skeleton_tag(points, group=None):
    named = zip(FIVE.points, points.tolist(), strict=True)
    parts = [f'<points label="{name}" points="{x},{y}"/>' for name, (x, y) in named]
    return tag("skeleton", "", group) + f">{''.join(parts)}</skeleton>"


def box_tag(box, group=None, extra=""):
    sides = " ".join(
        f'{name}="{value}"' for name, value in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True)
    )
    return tag("box", f"{sides} {extra}", group) + "/>"


def cvat(root, *shapes):
    (image,) = add_images(root / "images", 1)
    size = f'width="{SIZE[0]}" height="{SIZE[1]}"'
    text = f'<annotations><image id="0" name="{image}" {size}>{"".join(shapes)}</image>'
    (root / "annotations.xml").write_text(text + "</annotations>")
    return parse_annotations(root, "cvat", scheme=FIVE)


@pytest.mark.parametrize("draw", [points_tag, skeleton_tag])
@pytest.mark.parametrize("group", [None, 3])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_box_is_found_before_and_behind_its_points(tmp_path, draw, group, is_first):
    shapes = [box_tag(FIRST, group), draw(POINTS, group)]
    parsed = cvat(tmp_path, *(shapes if is_first else shapes[::-1]))
    assert parsed.faces.boxes.tolist() == [list(FIRST)]
    assert parsed.findings == ()


@pytest.mark.parametrize("draw", [points_tag, skeleton_tag])
def test_boxes_without_groups_go_to_the_points_in_them(tmp_path, draw):
    shapes = [box_tag(each) for each in (AROUND, SECOND, FIRST)]
    parsed = cvat(tmp_path, draw(POINTS), draw(BESIDE), *shapes)
    assert parsed.faces.boxes.tolist() == [list(FIRST), list(SECOND)]


def test_a_group_counts_more_than_the_place(tmp_path):
    shapes = [points_tag(POINTS, 1), points_tag(BESIDE, 2), box_tag(AROUND, 2), box_tag(FIRST, 1)]
    assert cvat(tmp_path, *shapes).faces.boxes.tolist() == [list(FIRST), list(AROUND)]


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ((AROUND,), "two faces have the same box"),
        (((0, 60, 20, 80),), "no box holds its landmarks"),
    ],
)
def test_a_box_that_cannot_be_told_is_nobodys(tmp_path, boxes, words):
    parsed = cvat(tmp_path, points_tag(POINTS), points_tag(BESIDE), *map(box_tag, boxes))
    assert parsed.faces.boxes[0].tolist() == [20, 20, 40, 40]
    assert [each.check for each in parsed.findings] == ["box-absent"] * 2
    assert words in parsed.findings[0].message


def test_a_rotated_box_is_the_upright_one_around_it(tmp_path):
    turned = box_tag((10, 20, 50, 40), extra='rotation="90"')
    np.testing.assert_allclose(
        cvat(tmp_path, points_tag(POINTS), turned).faces.boxes, [[20, 10, 40, 50]]
    )


@pytest.mark.parametrize("group", [None, 7])
def test_of_several_rectangles_of_labelme_the_one_around_the_points(tmp_path, group):
    (image,) = add_images(tmp_path, 1)
    named = zip(FIVE.points, POINTS.tolist(), strict=True)
    shapes = [{"label": name, "points": [xy], "shape_type": "point"} for name, xy in named]
    for box in (FIRST, (80, 60, 120, 100)):
        corners = [list(box[:2]), list(box[2:])]
        shapes.append({"label": "box", "points": corners, "shape_type": "rectangle"})
    content = {"imagePath": image, "shapes": [{**shape, "group_id": group} for shape in shapes]}
    (tmp_path / image).with_suffix(".json").write_text(json.dumps(content))
    assert read_annotations(tmp_path, "labelme", scheme=FIVE).boxes.tolist() == [list(FIRST)]
