"""`Landmarker`: its forms of input, its models, and what it does not import."""

import json
import shutil
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from sesame_hpc import Landmarker, Landmarks
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.inference.heldout import measure, predict_faces
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.models.weights import load_weights
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder


@pytest.fixture(scope="module")
def landmarker(run):
    return Landmarker.load(run, "cpu")


def some_images(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (60 + 7 * i, 80, 3), dtype=np.uint8) for i in range(count)]


BOXES: list[Any] = [[[5, 5, 50, 50.5], [20, 10, 70, 60]], [], [[-5, 3, 40, 40]]]


def test_points_are_those_of_the_evaluation(run, landmarker):
    folder = RunFolder(run)
    config = folder.config()
    faces = read_faces(config, folder).heldout
    trained = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
    trained.load_state_dict(load_weights(folder.weights("finetune")))
    loader = EvalLoader(faces, config.data, 32, batch_size=4, device=torch.device("cpu"))
    expected, _ = predict(trained, loader, faces)
    points, spread, _ = predict_faces(landmarker.model, faces, config.data)
    assert np.abs(points - expected).mean() < 0.1
    assert np.abs(points - expected.mean(axis=1, keepdims=True)).mean() > 1
    assert spread.shape == points.shape[:2]
    assert (spread > 0).all()


def test_one_image_several_images_and_any_batch_size_agree(run, landmarker):
    images = some_images(3)
    together = landmarker(images, BOXES)
    assert isinstance(together, Landmarks)
    assert together.images.tolist() == [0, 0, 2]
    assert together.points.dtype == np.float64
    assert together.points.shape == (3, 98, 2)
    assert together.confidence.shape == together.spread.shape == (3, 98)
    np.testing.assert_array_equal(together.boxes, np.concatenate([BOXES[0], BOXES[2]]))
    single = Landmarker.load(run, "cpu", batch_size=1)(images, BOXES)
    np.testing.assert_allclose(single.points, together.points, atol=1e-3)
    alone = landmarker(images[2], BOXES[2])
    np.testing.assert_allclose(alone.points, together.of_image(2).points, atol=1e-3)
    np.testing.assert_array_equal(landmarker(images[2], BOXES[2][0]).points, alone.points)
    assert len(landmarker(images[1], [])) == len(together.of_image(1)) == 0
    assert repr(together) == "Landmarks(3 faces, points (3, 98, 2), scheme wflw98)"


def test_without_boxes_the_whole_image_is_the_face(landmarker):
    image = some_images(1)[0]
    whole = landmarker(image)
    np.testing.assert_array_equal(whole.boxes, [[0, 0, 80, 60]])
    np.testing.assert_array_equal(whole.points, landmarker(image, [0, 0, 80, 60]).points)


def test_a_shifted_image_shifts_the_points(landmarker):
    image = some_images(1)[0]
    moved = np.zeros((90, 120, 3), np.uint8)
    moved[20:80, 33:113] = image
    box = np.array([20, 15, 50, 45.0])
    before = landmarker(image, box).points
    after = landmarker(moved, box + np.array([33, 20, 33, 20])).points
    np.testing.assert_allclose(
        after - before, np.broadcast_to([33.0, 20.0], after.shape), atol=0.01
    )


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [
        (np.zeros((5, 5, 3)), None, "image 0: is float64"),
        (np.zeros((5, 5, 4), np.uint8), None, r"image 0: is uint8 \[5, 5, 4\]"),
        (np.zeros((5, 5, 3), np.uint8), [[1, 2, 3]], r"boxes of image 0: are \[1, 3\]"),
        (np.zeros((5, 5, 3), np.uint8), [[3, 3, 1, 1]], "image 0: box 0: box .* is not finite"),
        ([np.zeros((5, 5, 3), np.uint8)], [], "boxes: are for 0 images"),
        ([np.zeros((5, 5, 3), np.uint8)], 3, r"boxes: are int; take \[F, 4\]"),
        ([], None, "images: there are none"),
        (b"\x89PNG", None, "image 0: is bytes; takes"),
    ],
)
def test_wrong_inputs_are_named(landmarker, image, boxes, message):
    with pytest.raises(ValueError, match=message):
        landmarker(image, boxes)


def test_the_calibration_is_made_once_and_is_that_of_the_heldout_faces(run, landmarker):
    stored = run / "checkpoints" / "finetune" / "calibration.json"
    before = stored.stat().st_mtime_ns
    again = Landmarker.load(run, "cpu")
    assert stored.stat().st_mtime_ns == before
    assert again.manifest == landmarker.manifest
    calibration = again.manifest.calibration
    assert calibration.faces == 12
    folder = RunFolder(run)
    config = folder.config()
    spread, errors, _ = measure(again.model, read_faces(config, folder).heldout, config.data)
    assert calibration.expected_error(spread).mean() == pytest.approx(errors.mean(), rel=0.1)
    stored.write_text("{")
    assert Landmarker.load(run, "cpu").manifest == landmarker.manifest
    assert "calibration" in json.loads(stored.read_text())


def test_without_the_heldout_faces_confidence_is_unknown_and_says_so(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "checkpoints" / "finetune" / "calibration.json").unlink()
    text = (copy / "config.yaml").read_text()
    root = str(RunFolder(run).config().data.root)
    (copy / "config.yaml").write_text(text.replace(root, "/nowhere/faces"))
    (copy / "SHA256SUMS").unlink()
    with pytest.warns(UserWarning, match=r"will be NaN.*/nowhere/faces"):
        found = Landmarker.load(copy)(some_images(1)[0])
    assert np.isnan(found.confidence).all()
    assert np.isfinite(found.points).all()


def test_what_is_no_model_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model at"):
        Landmarker.load(tmp_path)
    with pytest.raises(ValueError, match="predicts no landmarks"):
        Landmarker.load(run, stage="pretrain")
    with pytest.raises(FileNotFoundError, match="has this stage finished"):
        Landmarker.load(run, stage="preliminary")
    with pytest.raises(ValueError, match="takes auto, cpu or cuda"):
        Landmarker.load(run, device="gpu")  # type: ignore[arg-type]
    (tmp_path / "weights.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match="not a model that can be loaded"):
        Landmarker.load(tmp_path / "weights.pt")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_cuda_that_is_not_there_is_an_error(run):
    with pytest.raises(ValueError, match="no CUDA device"):
        Landmarker.load(run, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_finds_the_same_points(run, landmarker):
    found = Landmarker.load(run, "cuda")(some_images(3), BOXES)
    np.testing.assert_allclose(found.points, landmarker(some_images(3), BOXES).points, atol=0.2)


def test_all_exports_find_the_same_points(exported, landmarker):
    expected = landmarker(some_images(3), BOXES)
    for path in (exported, exported / "model.onnx"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = Landmarker.load(path, "cpu")(some_images(3), BOXES)
        np.testing.assert_allclose(found.points, expected.points, atol=2e-3)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-3)
        assert found.scheme == expected.scheme


def modules_after(program: str) -> set[str]:
    program += "\nimport sys; print('MODULES', *sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(shown.stdout.split("MODULES")[1].split())


def test_an_onnx_model_needs_no_torch_and_a_run_no_training_parts(run, exported):
    call = "import numpy as np; from sesame_hpc import Landmarker\n"
    call += "l = Landmarker.load({!r}); assert l(np.zeros((9, 9, 3), np.uint8)).points.shape[0]"
    onnx = modules_after(call.format(str(exported / "model.onnx")))
    assert "onnxruntime" in onnx
    assert not onnx & {"torch", "nvidia.dali", "deepspeed", "triton"}
    assert not modules_after(call.format(str(run))) & {"nvidia.dali", "deepspeed", "triton"}
    assert not modules_after("import sesame_hpc") & {"torch", "numpy", "cv2"}
