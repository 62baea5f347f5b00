"""Labels that are shifted by one image, in drawn faces and in photographs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from five_faces import FIVE, SIZE, csv_text, points_of

from sesame_hpc.data.check import Report, check_data
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.formats.registry import format_named

FACES = 40
POINTS = points_of(FACES, seed=1) + np.random.default_rng(2).uniform(-14, 14, (FACES, 1, 2))
LFPW = Path(__file__).parents[4] / "shared" / "data" / "lfpw68"


def draw(path: Path, points: np.ndarray, seed: int) -> None:
    """A grey face with dark eyes, nose and mouth where its points are, on a ground of blotches."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 190, (8, 9), dtype=np.uint8)
    image = cv2.resize(ground, SIZE, interpolation=cv2.INTER_CUBIC)
    centre = tuple(points.mean(axis=0).round().astype(int).tolist())
    cv2.ellipse(image, centre, (34, 44), 0, 0, 360, int(rng.integers(150, 230)), -1)
    places = [tuple(point.round().astype(int).tolist()) for point in points]
    for eye in places[:2]:
        cv2.circle(image, eye, 6, int(rng.integers(10, 60)), -1)
    cv2.circle(image, places[2], 3, 90, -1)
    cv2.line(image, places[3], places[4], int(rng.integers(30, 90)), 5)
    cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    for row, points in enumerate(POINTS):
        draw(root / f"{row:02}.png", points, row)
    return root


def check(root: Path, images: list[int], rows: list[int] | None = None) -> Report:
    """Of a table whose row r has the image `images[r]` and the points r, or of `rows`."""
    rows = rows or list(range(len(images)))
    header = ",".join(["image", *(f"{axis}{point}" for point in range(5) for axis in "xy")])
    lines = [
        ",".join([f"{image:02}.png", *map(repr, POINTS[row].ravel().tolist())])
        for image, row in zip(images, rows, strict=True)
    ]
    (root / "train.csv").write_text("\n".join([header, *lines]) + "\n")
    return check_data(root, "csv", FIVE)


def shifted(report: Report) -> list[tuple[str, str, str]]:
    """Level, first line, message."""
    found = [each for each in report.findings if each.check == "shifted-labels"]
    return [(each.level, each.place.rpartition(":")[2], each.message) for each in found]


def test_labels_of_the_next_image_are_found_in_both_directions(folder):
    everyone = list(range(FACES))
    assert shifted(check(folder, everyone)) == []
    ((level, line, message),) = shifted(check(folder, everyone[-1:] + everyone[:-1]))
    assert (level, line) == ("error", "2")
    assert f"the labels of {FACES - 1} faces, from here to {folder}/train.csv:40" in message
    assert "fit the image behind their own better" in message
    ((_, line, message),) = shifted(check(folder, everyone[1:] + everyone[:1]))
    assert line == "3"
    assert "fit the image before their own better" in message


@pytest.mark.parametrize("step", [1, -1])
def test_a_shift_of_sixteen_faces_is_found(folder, step):
    few = list(range(16))
    assert shifted(check(folder, few)) == []
    assert len(shifted(check(folder, few[step:] + few[:step]))) == 1


def test_a_shift_that_begins_in_the_middle_is_found_where_it_begins(folder):
    """Image 17 was left out of the list, its labels were not."""
    everyone = list(range(FACES))
    images = everyone[:17] + everyone[18:]
    ((_, line, message),) = shifted(check(folder, images, everyone[:-1]))
    assert abs(int(line) - 20) <= 1
    assert "labels and images look shifted by one" in message


def test_labels_in_any_order_and_few_faces_are_not_called_shifted(folder):
    order = np.random.default_rng(0).permutation(FACES).tolist()
    assert shifted(check(folder, order)) == []
    few = list(range(12))
    assert shifted(check(folder, few[-1:] + few[:-1])) == []


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda points: points / SIZE * 640, "pixels of a copy of 640 x 640"),
        (lambda points: points / 2, "pixels of a copy of half the size"),
        (lambda points: points * (1, -1) + (0, SIZE[1]), "y counted from below"),
        (lambda points: points[..., ::-1], "y, x instead of x, y"),
    ],
)
def test_numbers_that_are_not_pixels_are_found_by_what_the_images_show(
    folder, tmp_path, read, words
):
    for image in folder.glob("*.png"):
        (tmp_path / image.name).symlink_to(image)
    names = [f"{row:02}.png" for row in range(FACES)]
    (tmp_path / "train.csv").write_text(csv_text(names, read(POINTS)))
    findings = check_data(tmp_path, "csv", FIVE).findings
    (finding,) = [each for each in findings if each.check == "misplaced"]
    assert finding.level == "error"
    assert words in finding.message


def test_right_labels_are_not_called_misplaced_on_one_and_the_same_ground(tmp_path):
    ground = np.random.default_rng(0).integers(60, 190, (*SIZE[::-1], 3)).astype(np.uint8)
    names = [f"{row:02}.png" for row in range(FACES)]
    for row, name in enumerate(names):
        draw(tmp_path / name, POINTS[row], row)
        image = cv2.imread(str(tmp_path / name))
        low = np.clip(POINTS[row].min(axis=0) - 20, 0, None).astype(int)
        high = POINTS[row].max(axis=0).astype(int) + 20
        image[: low[1]], image[high[1] :] = ground[: low[1]], ground[high[1] :]
        image[:, : low[0]], image[:, high[0] :] = ground[:, : low[0]], ground[:, high[0] :]
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "train.csv").write_text(csv_text(names, POINTS))
    checks = {each.check for each in check_data(tmp_path, "csv", FIVE).findings}
    assert "misplaced" not in checks


@pytest.mark.skipif(not LFPW.exists(), reason="the LFPW images are not here")
def test_photographs(tmp_path):
    """120 faces of LFPW with their own labels, and with those of the face before."""
    faces = read_annotations(LFPW, "pts").select(np.arange(120))
    writer = format_named("csv").writer
    assert writer is not None
    (tmp_path / "images").symlink_to(LFPW)
    names = [f"images/{faces.image_path(row).relative_to(LFPW)}" for row in range(120)]
    for images, expected in ((names, 0), (names[-1:] + names[:-1], 1)):
        for name, text in writer.files(faces, "train", images, None).items():
            (tmp_path / name).write_text(text)
        report = check_data(tmp_path, "csv", faces.scheme)
        assert len(shifted(report)) == expected
        assert not [each for each in report.findings if each.check == "misplaced"]
