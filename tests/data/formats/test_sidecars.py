"""Label files and images that belong together although their names are spelled differently."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from five_faces import FIVE, SIZE, add_images, points_of, pts_text

from sesame_hpc.data.formats.readers import parse_annotations
from sesame_hpc.data.formats.sidecars import pair_sidecars

POINTS = points_of(2)


def paths(*names):
    return [PurePosixPath(name) for name in names]


def test_pairs_are_made_of_what_is_unambiguous():
    found = pair_sidecars(
        paths("a/1.jpg", "b/1.jpg", "B/2.png", "c/3.jpg", "c/3.png", "4.jpg"),
        paths("a/1.pts", "b/2.pts", "c/3.pts", "elsewhere/4.PTS", "d/1.pts", "5.pts"),
    )
    assert {str(label): str(image) for label, image in found.images.items()} == {
        "a/1.pts": "a/1.jpg",
        "b/2.pts": "B/2.png",
        "c/3.pts": "c/3.jpg",
        "elsewhere/4.PTS": "4.jpg",
        "d/1.pts": "b/1.jpg",
    }
    assert found.rivals == [(PurePosixPath("c/3.png"), PurePosixPath("c/3.jpg"))]
    assert found.lone_labels == paths("5.pts")
    assert found.lone_images == []
    assert found.respelled == []


def write_yolo(root, spelled):
    for image, points in zip(add_images(root / "images", 2), POINTS / SIZE, strict=True):
        text = root / "labels" / spelled(image)
        text.parent.mkdir(exist_ok=True)
        fields = ["0 0.5 0.5 0.8 0.8", *(f"{x} {y} 2" for x, y in points.tolist())]
        text.with_suffix(".txt").write_text(" ".join(fields) + "\n")


def write_pts(root, spelled):
    for image, points in zip(add_images(root, 2), POINTS, strict=True):
        (root / spelled(image)).with_suffix(".pts").write_text(pts_text(points))


@pytest.mark.parametrize(("format", "write"), [("yolo", write_yolo), ("pts", write_pts)])
@pytest.mark.parametrize("is_cased", [True, False])
def test_another_spelling_is_read_with_one_note(tmp_path, format, write, is_cased):
    write(tmp_path, str.upper if is_cased else str)
    if not is_cased:
        for image in [*tmp_path.rglob("*.png")]:
            image.rename(image.with_name(unicodedata.normalize("NFD", f"Größe{image.name}")))
        for label in [*tmp_path.rglob("*.pts"), *tmp_path.rglob("*.txt")]:
            label.rename(label.with_name(f"Größe{label.name}"))
    parsed = parse_annotations(tmp_path, format, scheme=FIVE)
    assert len(parsed.faces) == 2
    assert parsed.faults == ()
    (finding,) = parsed.findings
    assert finding.check == "respelled"
    assert "2 file names are spelled differently from the image" in finding.message


@pytest.mark.parametrize("format", ["yolo", "labelme"])
def test_hidden_files_are_counted(tmp_path, format):
    if format == "yolo":
        write_yolo(tmp_path, str)
        hidden = tmp_path / "images" / "._face_0.png"
    else:
        (image, _) = add_images(tmp_path, 2)
        shapes = [
            {"label": name, "points": [xy], "shape_type": "point"}
            for name, xy in zip(FIVE.points, POINTS[0].tolist(), strict=True)
        ]
        text = str({"imagePath": image, "shapes": shapes}).replace("'", '"')
        (tmp_path / "face_0.json").write_text(text)
        hidden = tmp_path / "._face_0.json"
    hidden.write_bytes(b"\0\5\x16\7")
    checks = {
        each.check: each for each in parse_annotations(tmp_path, format, scheme=FIVE).findings
    }
    assert checks["hidden-file"].message.startswith("1 hidden file of the system")
