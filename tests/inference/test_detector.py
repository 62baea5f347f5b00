"""YuNet through OpenCV, with a network of its signature that always sees the same face."""

from pathlib import Path

import numpy as np
import pytest
from constant_detector import CELL, SIDE, write_detector

from sesame_hpc.data.formats.pts_file import parse_pts
from sesame_hpc.inference.detector import YuNet
from sesame_hpc.inference.detector_weights import WEIGHTS_VARIABLE, usual_weights
from sesame_hpc.inference.images import read_image

SHARED = Path(__file__).parents[3] / "shared" / "data"
FACES = SHARED / "lfpw68" / "train"


def test_boxes_are_corners_in_pixels_of_the_image(tmp_path, monkeypatch):
    write_detector(tmp_path / "yunet.onnx")
    # Centre (2.25, 0.5) cells, extent 2 x 3 cells of 32 pixels; the hairline's 26 % are left out.
    top = 0.5 - 1.5 + 0.26 * 3
    expected = np.array([[(2.25 - 1) * CELL, top * CELL, 3.25 * CELL, 2 * CELL]])
    found = YuNet(tmp_path / "yunet.onnx")(np.zeros((SIDE, SIDE, 3), np.uint8))
    np.testing.assert_allclose(found, expected, atol=0.1)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "yunet.onnx"))
    assert len(YuNet(None)(np.zeros((SIDE, SIDE, 3), np.uint8))) == 1
    assert len(YuNet(None, least_score=0.995)(np.zeros((SIDE, SIDE, 3), np.uint8))) == 0


def test_a_tiny_image_holds_no_face(tmp_path):
    write_detector(tmp_path / "yunet.onnx")
    assert YuNet(tmp_path / "yunet.onnx")(np.zeros((1, 1, 3), np.uint8)).shape == (0, 4)


def test_weights_are_found_in_their_usual_place(tmp_path, monkeypatch):
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError, match="`sesame get yunet` downloads them once"):
        YuNet(None)
    usual = usual_weights()
    assert usual.is_relative_to(tmp_path / "data")
    usual.parent.mkdir(parents=True)
    write_detector(usual)
    assert len(YuNet(None)(np.zeros((SIDE, SIDE, 3), np.uint8))) == 1


def test_missing_and_wrong_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "gone.onnx"))
    with pytest.raises(
        FileNotFoundError, match=r"at .*gone\.onnx: .*sesame get yunet.*or name another"
    ):
        YuNet(None)
    with pytest.raises(FileNotFoundError, match="--detector-weights FILE or SESAME_YUNET=FILE"):
        YuNet(tmp_path / "none.onnx")
    (tmp_path / "wrong.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match="not a YuNet network"):
        YuNet(tmp_path / "wrong.onnx")
    (tmp_path / "pointer.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid ...")
    with pytest.raises(ValueError, match="is a pointer of Git LFS"):
        YuNet(tmp_path / "pointer.onnx")


@pytest.mark.parametrize("name", ["yunet_n_320_320.onnx", "yunet_n_dynamic.onnx"])
def test_real_weights_find_the_faces_of_photographs(name, capfd):
    weights = SHARED / "yunet" / name
    if not weights.is_file() or not FACES.is_dir():
        pytest.skip(f"{weights} or {FACES} is not on this machine")
    detector = YuNet(weights)
    assert capfd.readouterr().err == ""
    paths = sorted(FACES.glob("*.jpg"))[:40]
    assert len(paths) == 40
    overlaps, spare = [], 0
    for path in paths:
        landmarks = parse_pts(path.with_suffix(".pts"), 68)
        tight = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
        found = detector(read_image(path))
        overlaps.append(max((overlap(box, tight) for box in found), default=0.0))
        spare += len(found) - 1
    assert np.mean(np.array(overlaps) > 0.5) >= 0.95
    assert np.median(overlaps) > 0.8
    assert spare <= 4


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    extent = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    both = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])
    return float(np.prod(extent) / (both - np.prod(extent)))
