"""Drawing: points land on the pixels they name, and sheets hold what they promise."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.viewing.draw import crop_square, draw_box, draw_face, region_colours
from sesame_hpc.data.viewing.face_image import read_rgb
from sesame_hpc.data.viewing.show import contact_sheet
from sesame_hpc.schemes import Scheme

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "wflw_sample"
TRIO = Scheme(
    name="trio",
    points=("left", "right", "chin"),
    regions={"eyes": (0, 1), "jaw": (2,)},
    mirror=(1, 0, 2),
    normaliser=(0, 1),
    edges=((0, 1),),
)
LANDMARKS = np.array([[20.5, 30.5], [60.5, 30.5], [40.5, 70.5]])


def centroid(image: np.ndarray) -> np.ndarray:
    """The centre of brightness, (x, y) in corner-based pixels."""
    weights = image.astype(np.float64).sum(axis=2)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.fixture
def faces(tmp_path):
    images = tuple(f"{row}.png" for row in range(3))
    for row, name in enumerate(images):
        cv2.imwrite(str(tmp_path / name), np.full((100, 100, 3), 40 * row, np.uint8))
    return Annotations(
        scheme=TRIO,
        root=tmp_path,
        images=images,
        boxes=np.tile([10.0, 20.0, 70.0, 80.0], (3, 1)),
        landmarks=np.tile(LANDMARKS, (3, 1, 1)),
        attributes=np.array([[False, False], [True, False], [True, True]]),
        attribute_names=("pose", "blur"),
        sources=tuple(f"list.txt:{row + 1}" for row in range(3)),
        sample_ids=np.arange(3) + 70,
    )


@pytest.mark.parametrize("point", [(40.5, 70.5), (41.0, 70.0), (40.25, 70.75)])
def test_points_are_drawn_where_their_coordinates_say(point):
    scheme = replace(TRIO, edges=())
    landmarks = np.array([[-50.0, 0.0], [-50.0, 9.0], point])
    drawn = draw_face(np.zeros((300, 300, 3), np.uint8), landmarks, scheme)
    np.testing.assert_allclose(centroid(drawn), point, atol=0.1)


def test_points_and_edges_take_the_colour_of_their_region():
    image = np.zeros((100, 100, 3), np.uint8)
    drawn = draw_face(image, LANDMARKS, TRIO)
    colours = region_colours(TRIO)
    assert not image.any()
    assert tuple(drawn[30, 20]) == tuple(drawn[30, 60]) == colours["eyes"]
    np.testing.assert_allclose(drawn[30, 40], colours["eyes"], atol=32)
    assert tuple(drawn[70, 40]) == colours["jaw"] != colours["eyes"]
    assert not drawn[50, 40].any()


def test_box_is_drawn_along_its_sides():
    drawn = draw_box(np.zeros((100, 100, 3), np.uint8), np.array([10.5, 20.5, 70.5, 80.5]))
    for row, column in [(20, 40), (80, 40), (50, 10), (50, 70)]:
        assert drawn[row, column].all()
    assert not drawn[50, 40].any()


@pytest.mark.parametrize(
    ("image", "landmarks", "message"),
    [
        (
            np.zeros((9, 9), np.uint8),
            LANDMARKS,
            r"image: is uint8 \[9, 9\]; takes uint8 \[H, W, 3\]",
        ),
        (np.zeros((9, 9, 3)), LANDMARKS, "image: is float64"),
        (np.zeros((9, 9, 3), np.uint8), LANDMARKS[:2], r"are \[2, 2\]; .*trio takes \[3, 2\]"),
        (np.zeros((9, 9, 3), np.uint8), LANDMARKS * np.inf, "infinite"),
    ],
)
def test_what_cannot_be_drawn_is_named(image, landmarks, message):
    with pytest.raises(ValueError, match=message):
        draw_face(image, landmarks, TRIO)


def test_points_far_away_do_no_harm():
    drawn = draw_face(np.zeros((64, 64, 3), np.uint8), LANDMARKS * 1e12, replace(TRIO, edges=()))
    assert not drawn.any()


@pytest.mark.parametrize(("side", "size"), [(48.0, 192), (96.0, 64), (333.0, 64)])
def test_crop_agrees_with_its_matrix(side, size):
    y, x = np.mgrid[:400, :360] + 0.5
    spot = 255 * np.exp(-((x - 190.25) ** 2 + (y - 170.75) ** 2) / (2 * (side / 20) ** 2))
    image = np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)
    crop, matrix = crop_square(image, np.array([185.0, 178.0]), side, size)
    expected = matrix[:, :2] @ [190.25, 170.75] + matrix[:, 2]
    assert crop.shape == (size, size, 3)
    np.testing.assert_allclose(centroid(crop), expected, atol=0.06)
    corner = matrix[:, :2] @ [185 - side / 2, 178 - side / 2] + matrix[:, 2]
    np.testing.assert_allclose(corner, 0, atol=1e-9)


def test_sheet_has_a_tile_for_each_face(faces, tmp_path):
    out = contact_sheet(faces, tmp_path / "sheets" / "faces.png", rows=2, columns=2, size=128)
    sheet = read_rgb(out)
    assert sheet.shape == (2 * (128 + 36 + 4) + 4, 2 * (128 + 4) + 4, 3)
    assert [path.name for path in out.parent.iterdir()] == ["faces.png"]
    captions = [sheet[132:168, 4:132], sheet[132:168, 136:264], sheet[300:336, 4:132]]
    inked = [(caption[18:] > 128).any() for caption in captions]
    assert inked == [False, True, True]
    assert (sheet[172:, 136:] == 48).all()


def test_sheet_stops_at_rows_and_columns(faces, tmp_path):
    sheet = read_rgb(contact_sheet(faces, tmp_path / "two.png", rows=1, columns=2, size=64))
    assert sheet.shape[:2] == (64 + 36 + 8, 2 * 68 + 4)


def test_sheet_shows_points_outside_box_and_image(faces, tmp_path):
    landmarks = faces.landmarks.copy()
    landmarks[0, 2] = [40.0, 160.0]
    moved = replace(faces, landmarks=landmarks).select(np.array([0]))
    sheet = read_rgb(contact_sheet(moved, tmp_path / "far.png", size=256))
    jaw = np.array(region_colours(TRIO)["jaw"])
    rows, _ = np.nonzero((np.abs(sheet.astype(int) - jaw) < 40).all(axis=2))
    assert 220 < rows.mean() < 250


def test_sheet_names_what_it_cannot_draw(faces, tmp_path):
    faces.image_path(1).write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"^list.txt:2: .*1.png cannot be decoded as an image"):
        contact_sheet(faces, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    with pytest.raises(ValueError, match="have no face"):
        contact_sheet(faces.select(np.array([], np.int64)), tmp_path / "out.png")
    with pytest.raises(ValueError, match="0 rows x 6 columns of 256 pixels; takes at least 1 x 1"):
        contact_sheet(faces, tmp_path / "out.png", rows=0)


def test_the_real_faces_are_drawn(tmp_path):
    if not SAMPLE.is_dir():
        pytest.skip(f"the sample faces {SAMPLE} are not on this machine")
    out = contact_sheet(read_annotations(SAMPLE, "wflw"), tmp_path / "wflw.png", size=192)
    assert read_rgb(out).shape[1] == 4 * (192 + 4) + 4
