"""Averaged weights, the flip test and the fused head: used, exported and calibrated as such."""

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sesame_hpc import Landmarker
from sesame_hpc.config import load_config
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.inference.backends import OnnxBackend
from sesame_hpc.inference.export import export_run
from sesame_hpc.inference.heldout import predict_faces
from sesame_hpc.inference.manifest import Manifest, Weights
from sesame_hpc.inference.variant import Variant
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.models.weights import load_weights
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import write_settings
from sesame_hpc.stages.evaluate import evaluate_run
from sesame_hpc.stages.source import Source

IMAGE = np.random.default_rng(4).integers(0, 256, (64, 80, 3), dtype=np.uint8)
BOX = np.array([10.0, 5, 60, 55])


def points(path: Path, image: np.ndarray = IMAGE, box: np.ndarray = BOX, **which) -> np.ndarray:
    return Landmarker.load(path, "cpu", **which)(image, box).points[0]


def test_the_flip_test_averages_with_the_mirrored_image(run) -> None:
    plain = points(run)
    mirrored = points(run, IMAGE[:, ::-1].copy(), np.array([20.0, 5, 70, 55]))
    mirror = list(Landmarker.load(run, "cpu").scheme.mirror)
    back = np.stack([80 - mirrored[mirror, 0], mirrored[mirror, 1]], axis=1)
    flipped = points(run, flip=True)
    np.testing.assert_allclose(flipped, (plain + back) / 2, atol=1e-3)
    assert np.abs(flipped - plain).max() > 0.1


def test_the_multi_scale_test_averages_over_sizes_of_the_crop(run) -> None:
    def resized(scale: float) -> np.ndarray:
        middle, half = (BOX[:2] + BOX[2:]) / 2, (BOX[2:] - BOX[:2]) / 2 * scale
        return points(run, box=np.concatenate([middle - half, middle + half]), flip=True)

    found = Landmarker.load(run, "cpu", flip=True, scales=(0.8, 1, 1.1))(IMAGE, BOX)
    expected = (resized(0.8) + resized(1) + resized(1.1)) / 3
    np.testing.assert_allclose(found.points[0], expected, atol=1e-9)
    assert np.abs(found.points[0] - resized(1)).max() > 0.1
    assert found.boxes.tolist() == [BOX.tolist()]
    assert np.isfinite(found.confidence).all()
    one = Landmarker.load(run, "cpu", scales=[0.8])(IMAGE, BOX)
    plain = Landmarker.load(run, "cpu")
    half = (BOX[2:] - BOX[:2]) / 2 * 0.8
    middle = (BOX[:2] + BOX[2:]) / 2
    other = plain(IMAGE, np.concatenate([middle - half, middle + half]))
    np.testing.assert_allclose(one.spread, other.spread * 0.8, rtol=1e-6)


def test_points_of_several_scales_are_those_that_eval_gives_figures_of(run) -> None:
    config = RunFolder(run).config()
    faces = read_faces(config, RunFolder(run)).heldout
    landmarker = Landmarker.load(run, "cpu", weights="ema", scales=(0.9, 1.1))
    found = [
        landmarker(faces.image_path(row), faces.boxes[row]).points[0] for row in range(len(faces))
    ]
    weights = run / "checkpoints" / "finetune" / "weights-ema.safetensors"
    figures = evaluate_run(weights, Source(config.data.root, part="heldout"), scales=(0.9, 1.1))
    assert figures["protocol"]["scales"] == "0.9, 1.1"
    errors = 100 * point_errors(np.array(found), faces.landmarks, faces.scheme).mean(axis=0)

    def distance(table: dict[str, Any]) -> float:
        return np.abs(np.array(table["landmarks"]) - errors).mean()

    right = distance(figures["multi_scale"])
    assert right < 0.05
    assert distance(figures) > 4 * right


@pytest.mark.parametrize("scales", [(), (1, 3), (0.1,), (float("nan"),), "1", (None,)])
def test_scales_that_are_none_are_refused_before_anything_is_loaded(scales, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"take one or more sizes from 0.5 to 2, relative"):
        Landmarker.load(tmp_path / "gone", "cpu", scales=scales)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_points_are_those_that_eval_gives_figures_of(run, averaged: bool, flip: bool) -> None:
    folder = RunFolder(run)
    config = folder.config()
    faces = read_faces(config, folder).heldout
    trained = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
    trained.load_state_dict(load_weights(folder.weights("finetune", averaged)))
    loader = EvalLoader(faces, config.data, 32, batch_size=4, device=torch.device("cpu"))
    expected, _ = predict(trained, loader, faces, flip=flip)
    weights_of_a_run: tuple[Weights, ...] = ("last", "ema")
    weights = weights_of_a_run[averaged]
    landmarker = Landmarker.load(run, "cpu", weights=weights, flip=flip)
    found, _, _ = predict_faces(landmarker.model, faces, config.data)
    assert np.abs(found - expected).mean() < 0.1
    others = [
        predict_faces(Landmarker.load(run, "cpu", weights=w, flip=f).model, faces, config.data)[0]
        for w, f in product(weights_of_a_run, (False, True))
        if (w, f) != (weights, flip)
    ]
    assert all(np.abs(found - each).mean() > 0.1 for each in others)


def test_each_has_a_calibration_of_its_own(run) -> None:
    for weights in ("last", "ema"):
        for flip in (False, True):
            Landmarker.load(run, "cpu", weights=weights, flip=flip)
    stored = {path.name: path.read_text() for path in run.glob("checkpoints/finetune/cal*.json")}
    assert set(stored) == {
        f"calibration{suffix}.json" for suffix in ("", "-ema", "-flip", "-ema-flip")
    }
    assert len(set(stored.values())) == 4


@pytest.fixture(scope="module")
def variant(run, tmp_path_factory) -> Path:
    """EMA with flip test, in all forms."""
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("variant")
    for form in ("safetensors", "torchscript", "onnx"):
        export_run(run, form, out, variant=Variant("finetune", "ema", True), int8=form == "onnx")
    return out


def test_exports_are_the_network_that_was_asked_for(run, variant) -> None:
    wanted = Landmarker.load(run, "cpu", weights="ema", flip=True)
    expected = wanted(IMAGE, BOX)
    for path in (variant, variant / "model.onnx"):
        found = Landmarker.load(path, "cpu")
        assert found.manifest == wanted.manifest
        assert (found.manifest.weights, found.manifest.flip) == ("ema", True)
        np.testing.assert_allclose(found(IMAGE, BOX).points, expected.points, atol=2e-3)
        np.testing.assert_allclose(found(IMAGE, BOX).confidence, expected.confidence, atol=1e-3)
    script = torch.jit.load(variant / "model.torchscript.pt")
    crops = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    both = OnnxBackend(variant / "model.onnx")(crops)
    for mine, theirs in zip(script(torch.from_numpy(crops)), both, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-4)


def test_the_card_tells_which_and_how_good(run, variant, tmp_path) -> None:
    card = (variant / "README.md").read_text()
    assert "---\n\n# run/finetune, EMA weights, flip test\n" in card
    assert "moving average" in card
    assert "mirrored image (flip test)" in card
    assert "12.345" not in card
    assert "11.111" not in card
    assert "held-out (12 faces)" in card
    export_run(run, "safetensors", tmp_path / "ema", variant=Variant(weights="ema"))
    assert "11.111" in (tmp_path / "ema" / "README.md").read_text()


def test_int8_is_calibrated_on_its_own_spreads(variant) -> None:
    full, small = (
        Landmarker.load(variant / name, "cpu").manifest
        for name in ("model.onnx", "model.int8.onnx")
    )
    assert full.calibration != small.calibration
    assert full.calibration.faces == small.calibration.faces == 12
    cost = json.loads((variant / "export.json").read_text())["model.int8.onnx"]
    assert cost["checked_on"] == "12 held-out faces"


def test_an_export_is_no_other_network(variant, exported) -> None:
    Landmarker.load(variant, "cpu", weights="ema", flip=True)
    for path in (exported, exported / "model.onnx"):
        with pytest.raises(
            ValueError, match=r"is run/finetune, not weights ema, flip: an exported"
        ):
            Landmarker.load(path, "cpu", weights="ema", flip=True)
        with pytest.raises(ValueError, match="not stage preliminary"):
            Landmarker.load(path, "cpu", stage="preliminary")


def test_one_folder_holds_one_network(run, variant) -> None:
    with pytest.raises(ValueError, match=r"is run/finetune, EMA weights, flip test: give another"):
        export_run(run, "safetensors", variant)
    assert Manifest.from_json((variant / "config.json").read_text(), "").flip
    assert Variant().export_folder(RunFolder(run)) == run / "export"
    flipped = Variant("preliminary", "ema", True)
    assert flipped.export_folder(RunFolder(run)) == run / "export-preliminary-ema-flip"


def test_the_network_of_a_run_without_finetune_is_that_of_preliminary(run, tmp_path) -> None:
    folder = RunFolder(tmp_path / "short")
    write_settings(folder, load_config(run / "config.yaml", ["stages.run=[preliminary]"]))
    (folder.stage("preliminary")).mkdir(parents=True)
    shutil.copy(RunFolder(run).weights("finetune"), folder.weights("preliminary"))
    assert Variant().weights_file(folder) == folder.weights("preliminary")
    assert Variant().export_folder(folder) == folder.path / "export"
    with pytest.raises(FileNotFoundError, match=r"finetune/weights\.safetensors"):
        Landmarker.load(folder.path, "cpu", stage="finetune")


def test_weights_that_were_not_kept_are_named(run, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    RunFolder(copy).weights("finetune", averaged=True).unlink()
    with pytest.raises(ValueError, match=r"no EMA weights of finetune.* stages\.finetune\.ema"):
        Landmarker.load(copy, "cpu", weights="ema")
    with pytest.raises(ValueError, match="takes last or ema"):
        Landmarker.load(copy, "cpu", weights="best")  # type: ignore[arg-type]


def test_a_fused_head_is_the_same_model(run, make_run, tmp_path) -> None:
    folder = make_run(tmp_path / "fused", "head.impl=fused")
    np.testing.assert_array_equal(points(folder.path), points(run))
    config = folder.config()
    assert config.head.impl == "fused"
    faces = read_faces(config, folder).heldout
    trained = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
    trained.load_state_dict(load_weights(folder.weights("finetune")))
    loader = EvalLoader(faces, config.data, 32, batch_size=4, device=torch.device("cpu"))
    expected, _ = predict(trained, loader, faces)
    found, _, _ = predict_faces(Landmarker.load(folder.path, "cpu").model, faces, config.data)
    assert np.abs(found - expected).mean() < 0.1
    pytest.importorskip("onnxruntime")
    export_run(folder.path, "onnx", tmp_path / "onnx")
    np.testing.assert_allclose(points(tmp_path / "onnx" / "model.onnx"), points(run), atol=2e-3)
