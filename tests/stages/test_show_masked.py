"""The sheet of masked inputs, and the probabilities it is drawn by."""

import json

import cv2
import numpy as np
import pytest

from sesame_hpc.config import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.schemes import Scheme
from sesame_hpc.stages.show_masked import masked_sheet, read_masking

TRIO = Scheme(
    name="trio",
    points=("left", "right", "chin"),
    regions={"eyes": (0, 1), "jaw": (2,)},
    mirror=(1, 0, 2),
    normaliser=(0, 1),
    edges=((0, 1),),
)


@pytest.fixture
def faces(tmp_path):
    cv2.imwrite(str(tmp_path / "white.png"), np.full((96, 96, 3), 255, np.uint8))
    return Annotations(
        scheme=TRIO,
        root=tmp_path,
        images=("white.png",) * 2,
        boxes=np.tile([16.0, 16.0, 80.0, 80.0], (2, 1)),
        landmarks=np.tile([[24.0, 24.0], [72.0, 24.0], [48.0, 72.0]], (2, 1, 1)),
        attributes=np.zeros((2, 0), dtype=bool),
        attribute_names=(),
        sources=("a:1", "a:2"),
        sample_ids=np.arange(2),
    )


def masked_tiles(path) -> np.ndarray:
    """The masked crops of a sheet of two faces, [2, 5, 96, 96]: 0 is black, 255 white."""
    sheet = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (2 * (96 + 20 + 4) + 4, 6 * (96 + 4) + 4)
    rows = [sheet[4 + 120 * row : 100 + 120 * row] for row in range(2)]
    return np.array([[r[:, 4 + 100 * c : 100 + 100 * c] for c in range(1, 6)] for r in rows])


def test_the_regions_that_are_probable_are_masked(faces, tmp_path):
    """One or two of two regions: the probable one always, the other only where both are."""
    shares = {"eyes": 1e-9, "jaw": 1.0}
    data = DataConfig(root=tmp_path)
    tiles = masked_tiles(masked_sheet(faces, data, tmp_path / "jaw.png", shares, size=96))
    jaw, eyes = tiles[:, :, 76:80, 46:50], tiles[:, :, 18:24]
    assert (jaw.mean(axis=(2, 3)) < 200).all()
    untouched = (eyes > 250).all(axis=(2, 3))
    assert untouched.any()
    assert not untouched.all()


def test_all_regions_alike_unless_said_otherwise(faces, tmp_path):
    data = DataConfig(root=tmp_path)
    alike = masked_sheet(faces, data, tmp_path / "alike.png", size=96)
    said = masked_sheet(faces, data, tmp_path / "said.png", {"eyes": 0.5, "jaw": 0.5}, size=96)
    other = masked_sheet(faces, data, tmp_path / "other.png", size=96, seed=1)
    assert alike.read_bytes() == said.read_bytes() != other.read_bytes()


def test_probabilities_are_read_and_faults_named(tmp_path):
    path = tmp_path / "masking.json"
    path.write_text(json.dumps({"eyes": 0.25, "jaw": 0.75}))
    assert read_masking(path, TRIO) == {"eyes": 0.25, "jaw": 0.75}
    for content, message in (
        ("{", "not JSON"),
        ('{"eyes": 1}', "each region of scheme trio: eyes, jaw"),
        ('{"eyes": 1, "jaw": "x"}', "jaw is 'x'; takes a probability"),
        ('{"eyes": 0, "jaw": 1}', "eyes is 0; takes a probability above 0"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_masking(path, TRIO)
