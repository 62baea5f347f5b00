"""What imglab, CVAT, LabelMe, YOLO-pose, HRNet and STAR write: read, and faults named."""

import json

import numpy as np
import pytest
from five_faces import FIVE, SIZE, add_images, boxes_of, points_of

from sesame_hpc.data.formats.readers import detect_format, parse_annotations, read_annotations

POINTS = points_of(4)
BOXES = boxes_of(POINTS)


def imglab(root, names=FIVE.points, extra=""):
    images = add_images(root, 4)
    texts = []
    for image, points in zip(images, POINTS - 0.5, strict=True):
        parts = [
            f'<part name="{name}" x="{x}" y="{y}"/>'
            for name, (x, y) in zip(names, points, strict=True)
        ]
        box = f'<box top="4" left="26" width="95" height="113">{"".join(parts)}</box>'
        texts.append(f'<image file="{image}">{box}{extra}</image>')
    text = f'<?xml version="1.0"?><dataset><images>{"".join(texts)}</images></dataset>'
    (root / "training_with_face_landmarks.xml").write_text(text)


def cvat(root, shape="skeleton"):
    images = add_images(root / "images", 4)
    texts = []
    for image, points in zip(images, POINTS, strict=True):
        if shape == "points":
            listed = ";".join(f"{x},{y}" for x, y in points)
            inner = f'<points label="face" points="{listed}"/>'
        else:
            tags = zip(FIVE.points, points, strict=True)
            inner = "".join(
                f'<points label="{name}" outside="{int(i == 2)}" occluded="{int(i == 1)}" '
                f'points="{x},{y}"/>'
                for i, (name, (x, y)) in enumerate(tags)
            )
        if shape == "skeleton":
            flag = '<attribute name="blur">true</attribute>'
            inner = f'<skeleton label="face">{inner}{flag}</skeleton>'
        size = f'width="{SIZE[0]}" height="{SIZE[1]}"'
        texts.append(f'<image id="1" name="{image}" {size}>{inner}</image>')
    (root / "annotations.xml").write_text(f"<annotations>{''.join(texts)}</annotations>")


def labelme(root):
    for image, points, box in zip(add_images(root, 4), POINTS, BOXES, strict=True):
        shapes = [
            {"label": name.upper(), "points": [point.tolist()], "shape_type": "point"}
            for name, point in zip(FIVE.points, points, strict=True)
        ]
        corners = [box[:2].tolist(), box[2:].tolist()]
        shapes.append({"label": "face", "points": corners, "shape_type": "rectangle"})
        content = {"imagePath": image, "shapes": shapes, "imageData": None}
        (root / image).with_suffix(".json").write_text(json.dumps(content))


def yolo(root, visibility=True):
    for image, points, box in zip(
        add_images(root / "images" / "train", 4), POINTS / SIZE, BOXES / (SIZE * 2), strict=True
    ):
        x, y, x_max, y_max = box
        fields = [0, (x + x_max) / 2, (y + y_max) / 2, x_max - x, y_max - y]
        for number, point in enumerate(points):
            fields += [*point, number % 3] if visibility else [*point]
        text = root / "labels" / "train" / image
        text.parent.mkdir(parents=True, exist_ok=True)
        text.with_suffix(".txt").write_text(" ".join(map(str, fields)) + "\n0 0.5 0.5 0.1 0.1\n")


def hrnet(root):
    header = ["image_name", "scale", "center_w", "center_h"]
    header += [f"original_{i}_{axis}" for i in range(5) for axis in "xy"]
    rows = [
        ",".join(map(str, [image, 0.5, 68, 60, *points.ravel()]))
        for image, points in zip(add_images(root / "images", 4), POINTS, strict=True)
    ]
    (root / "face_landmarks_wflw_train.csv").write_text("\n".join([",".join(header), *rows]))


def star(root):
    rows = [
        "\t".join([image, "1,2,3", ",".join(map(str, points.ravel())), "0.5", "68", "60", "x"])
        for image, points in zip(add_images(root / "images", 4), POINTS, strict=True)
    ]
    (root / "train.tsv").write_text("\n".join(rows) + "\n")


SQUARE = [18, 10, 118, 110]
CASES = {
    "imglab": (imglab, [26, 4, 121, 117]),
    "labelme": (labelme, BOXES[0].tolist()),
    "yolo": (yolo, BOXES[0].tolist()),
    "cvat": (cvat, None),
    "hrnet": (hrnet, SQUARE),
}


@pytest.mark.parametrize("format", CASES)
def test_faces_are_found_and_in_corner_based_pixels(tmp_path, format):
    write, box = CASES[format]
    write(tmp_path)
    assert detect_format(tmp_path) == format
    faces = read_annotations(tmp_path, format, scheme=FIVE)
    assert len(faces) == 4
    labelled = faces.labelled
    np.testing.assert_allclose(faces.landmarks[labelled], POINTS[labelled], atol=1e-9)
    if box is not None:
        np.testing.assert_allclose(faces.boxes[0], box, atol=1e-9)
    assert all(faces.image_path(row).is_file() for row in range(4))


def test_star_tables_are_read_like_those_of_hrnet(tmp_path):
    star(tmp_path)
    assert detect_format(tmp_path) == "hrnet"
    faces = read_annotations(tmp_path, "hrnet", scheme=FIVE)
    np.testing.assert_allclose(faces.landmarks, POINTS)
    assert faces.boxes[0].tolist() == SQUARE


def test_visibility_and_attributes_are_kept(tmp_path):
    cvat(tmp_path)
    faces = read_annotations(tmp_path, "cvat", scheme=FIVE)
    assert faces.seen[0].tolist() == [2, 1, 0, 2, 2]
    assert (faces.attribute_names, faces.attributes.all()) == (("blur",), True)
    yolo(tmp_path / "yolo")
    parsed = parse_annotations(tmp_path / "yolo", "yolo", scheme=FIVE)
    assert parsed.faces.seen[0].tolist() == [0, 1, 2, 0, 1]
    assert [each.check for each in parsed.findings] == ["not-a-face"] * 4


@pytest.mark.parametrize("shape", ["points", "single"])
def test_cvat_shapes_that_are_not_skeletons(tmp_path, shape):
    cvat(tmp_path, shape)
    faces = read_annotations(tmp_path, "cvat", scheme=FIVE)
    rows = [0, 1, 3, 4] if shape == "single" else slice(None)
    np.testing.assert_allclose(faces.landmarks[:, rows], POINTS[:, rows])


def test_imglab_parts_by_number_absent_parts_and_ignored_boxes(tmp_path):
    ignored = '<box top="1" left="1" width="9" height="9" ignore="1"/>'
    imglab(tmp_path, names=("0", "1", "02", "3", "nonsense"), extra=ignored)
    parsed = parse_annotations(tmp_path, "imglab", scheme=FIVE)
    assert parsed.faces.labelled.tolist() == [[True, True, True, True, False]] * 4
    assert {each.message.split(":")[0] for each in parsed.findings} == {
        "label 'nonsense' is not a point of scheme five",
        "the box is marked ignore",
    }


BOMB = """<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>
<dataset><images><image file="&b;"/></images></dataset>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "declares entities"),
        ("<dataset><images>", "is not XML: no element found"),
        ("<dataset>" + "<a>" * 30, "is nested too deeply"),
        ('<dataset><images><image file="x.png"><box/></image></images></dataset>', "holds no face"),
        ("<dataset><images><image><box/></image></images></dataset>", ":1: names no image"),
    ],
)
def test_xml_is_read_safely(tmp_path, text, message):
    (tmp_path / "faces.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_annotations(tmp_path, "imglab", scheme=FIVE)


def test_a_point_twice_is_a_fault_of_its_face_alone(tmp_path):
    labelme(tmp_path)
    path = tmp_path / "face_1.json"
    content = json.loads(path.read_text())
    content["shapes"].append(content["shapes"][0])
    path.write_text(json.dumps(content))
    parsed = parse_annotations(tmp_path, "labelme", scheme=FIVE)
    assert len(parsed.faces) == 3
    (fault,) = parsed.faults
    assert "has point 'EYE_L' twice; each face has a group of its own" in str(fault)


def test_yolo_in_pixels_and_of_another_number_of_points_is_named(tmp_path):
    yolo(tmp_path)
    (tmp_path / "labels" / "train" / "face_0.txt").write_text("0 50 50 20 20 " + "40 40 " * 5)
    (tmp_path / "labels" / "train" / "face_1.txt").write_text("0 .5 .5 .2 .2 .4 .4")
    faults = parse_annotations(tmp_path, "yolo", scheme=FIVE).faults
    assert ["fractions" in str(faults[0]), "has 7 fields" in str(faults[1])] == [True, True]


def test_a_first_line_that_is_no_csv_is_not_one_of_hrnet(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"image_\rname,scale,center_w\n")
    with pytest.raises(FileNotFoundError, match="tables with scale and center_w"):
        read_annotations(tmp_path, "hrnet", scheme=FIVE)


def test_a_line_separator_of_unicode_ends_no_line(tmp_path):
    """The first line is found, and split into names, by the same ends of lines."""
    header = "image_na\u2028me,scale,center_w,center_h," + ",".join("abcdefghij")
    row = "one.png,0.2,16,16,1,2,3,4,5,6,7,8,9,10"
    (tmp_path / "train.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    (tmp_path / "one.png").write_bytes(b"")
    assert len(read_annotations(tmp_path, "hrnet", scheme=FIVE)) == 1


def test_a_header_without_the_columns_of_hrnet_is_a_fault(tmp_path):
    header = 'image_name,"scale\n",center_w,center_h'
    (tmp_path / "train.csv").write_text(f"{header}\none.png,0.2,16,16\n")
    with pytest.raises(FileNotFoundError, match="tables with scale"):
        read_annotations(tmp_path, "hrnet", scheme=FIVE)
    header = 'image_name,scale,center_w,"center_h,scale, center_w,center_h",a\n'
    (tmp_path / "train.csv").write_text(header)
    with pytest.raises(ValueError, match=r"train\.csv:1: names no column center_h"):
        read_annotations(tmp_path, "hrnet", scheme=FIVE)


def hrnet_with(root, scale=0.5, separator=",", first_point=("20", "30")):
    header = ["image_name", "scale", "center_w", "center_h"]
    header += [f"original_{i}_{axis}" for i in range(5) for axis in "xy"]
    (image,) = add_images(root / "images", 1)
    row = [image, str(scale), "68", "60", *first_point, *map(str, POINTS[0, 1:].ravel())]
    text = "\n".join(separator.join(each) for each in (header, row))
    (root / "face_landmarks_wflw_train.csv").write_text(text)
    return parse_annotations(root, "hrnet", scheme=FIVE)


@pytest.mark.parametrize("cell", ["", "nan", "NA"])
def test_points_that_tables_of_hrnet_leave_out(tmp_path, cell):
    parsed = hrnet_with(tmp_path, first_point=(cell, cell))
    assert parsed.faults == ()
    assert parsed.faces.labelled[0].tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_tables_of_hrnet_with_other_separators(tmp_path, separator):
    assert hrnet_with(tmp_path, separator=separator).faults == ()
    assert detect_format(tmp_path) == "hrnet"


def test_faults_of_tables_of_hrnet_name_the_column(tmp_path):
    (fault,) = hrnet_with(tmp_path, first_point=("20", "")).faults
    assert "original_0_y is ''" in str(fault)
    (fault,) = hrnet_with(tmp_path, first_point=("20", "x")).faults
    assert "original_0_y is 'x'" in str(fault)
    (fault,) = hrnet_with(tmp_path, scale=0).faults
    assert "scale is 0; it is the side of the face's box in units of 200 px" in str(fault)
