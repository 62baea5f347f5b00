"""WFLW's subset lists, and the official sizes."""

from pathlib import Path

import numpy as np
import pytest
from format_files import TRIO, add_image

from sesame_hpc.data.check import check_data
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.formats.wflw import list_path
from sesame_hpc.data.formats.wflw_subsets import read_subsets, subset_path

POINTS = ("20 20 44 20 32 44", "21 20 44 20 32 44", "20 22 44 20 32 44")
IMAGES = ("a.png", "a.png", "b.png")
POSE = (True, False, True)


@pytest.fixture
def root(tmp_path):
    for seed, image in enumerate(("a.png", "b.png")):
        add_image(tmp_path / "WFLW_images", image, seed=seed)
    rows = zip(POINTS, POSE, IMAGES, strict=True)
    lines = [f"{points} 10 10 54 54 {pose:d} 0 0 0 0 0 {image}" for points, pose, image in rows]
    write(tmp_path / list_path("test", 3), lines)
    return tmp_path


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_pose(root: Path, *lines: str) -> Path:
    return write(root / subset_path("pose", 3), list(lines))


def test_faces_are_found_by_image_and_landmarks(root):
    write_pose(root, f"{POINTS[2]} b.png", "", "20.001 20 44 20 32 44 a.png")
    test = read_annotations(root, "wflw", "test", TRIO)
    subsets = read_subsets(root, test)
    assert list(subsets.rows) == ["pose"]
    np.testing.assert_array_equal(subsets.rows["pose"], [0, 2])
    assert subsets.faults == ()
    assert check_subset_findings(root) == []


def check_subset_findings(root: Path) -> list[tuple[str, str, str]]:
    report = check_data(root, "wflw", TRIO)
    findings = [each for each in report.findings if each.check == "subset-list"]
    return [(each.level, Path(each.place).name, each.message) for each in findings]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{POINTS[0]} b.png", "no face of the test list has this image (b.png) and these"),
        (f"{POINTS[0]}", "has 6 fields; a line of a subset has 7 (6 coordinates and an image"),
        ("20 x 44 20 32 44 a.png", "field 2 is 'x'"),
    ],
)
def test_lines_that_mean_no_face_are_errors(root, line, message):
    path = write_pose(root, f"{POINTS[0]} a.png", f"{POINTS[2]} b.png", line)
    (finding,) = check_subset_findings(root)
    assert finding[:2] == ("error", f"{path.name}:3")
    assert message in finding[2]


def test_a_list_that_differs_from_the_attributes_is_a_warning(root):
    path = write_pose(root, f"{POINTS[0]} a.png", f"{POINTS[1]} a.png")
    (finding,) = check_subset_findings(root)
    assert finding[:2] == ("warning", path.name)
    assert "lists 2 faces, but 2 have the attribute pose; 2 differ, the first is" in finding[2]
    assert finding[2].endswith("test.txt:2")


def wflw98_test(root: Path, faces: int, poses: int) -> None:
    points = " ".join(f"{20 + i % 30} {20 + i % 29}" for i in range(98))
    lines = [f"{points} 10 10 54 54 {number < poses:d} 1 1 1 1 1 a.png" for number in range(faces)]
    write(root / list_path("test"), lines)


def official(root: Path) -> list[tuple[str, str]]:
    report = check_data(root, "wflw", threads=None)
    return [(each.level, each.message) for each in report.findings if each.check == "official-size"]


def test_official_sizes(root):
    wflw98_test(root, 5, 0)
    assert official(root) == [("note", "5 faces; WFLW's test part has 2,500")]
    wflw98_test(root, 2500, 326)
    messages = [message for level, message in official(root) if level == "warning"]
    assert len(messages) == 5
    assert messages[0] == "2500 faces have the attribute expression; WFLW has 314"
