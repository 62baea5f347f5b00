"""A run with few labels that pretrains on faces without any."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from missing_points import write_missing
from safetensors.torch import load_file
from training_process import TINY

from sesame_hpc.choices import STAGES
from sesame_hpc.config import Config, load_config
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.train import train
from sesame_hpc.stages.unlabelled import read_unlabelled

SETTINGS = (
    "data.labels=12",
    "data.on_error=skip",
    "data.max_skipped=0.05",
    "data.unlabelled_rest=true",
    "stages.pretrain.refresh_epochs=1",
    "stages.pretrain.unlabelled_share=0.75",
    *(f"stages.{stage}.epoch_samples=40" for stage in STAGES),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Path:
    """A finished run's folder; read it only."""
    folder = tmp_path_factory.mktemp("unlabelled")
    images = folder / "images"
    shutil.copytree(faces / "WFLW_images", images)
    whole = cv2.imencode(".png", np.full((90, 90, 3), 128, np.uint8))[1].tobytes()
    (images / "damaged.png").write_bytes(whole[:60])
    (folder / "tiny.yaml").write_text(TINY)
    paths = (f"data.root={faces}", f"data.unlabelled={images}")
    train(load_config(folder / "tiny.yaml", [*paths, f"output={folder / 'run'}", *SETTINGS]))
    return folder / "run"


def points(run: Path, number: int) -> np.ndarray:
    return np.load(run / f"predictions/pretrain-unlabelled-{number:04d}.npz")["points"]


def test_stages_train_on_the_faces_that_they_should(run: Path) -> None:
    """Of the 59 images of the folder, 18 are held-out or test ones, and one cannot be decoded."""
    results = {stage: RunFolder(run).result(stage) for stage in STAGES}
    assert [result["steps"] for result in results.values()] == [15, 15, 15]
    assert (results["pretrain"]["labelled"], results["pretrain"]["unlabelled"]) == (12, 28 + 40)
    identity = json.loads((run / "data.json").read_text())
    counts = {part: identity[part]["faces"] for part in ("train", "rest", "heldout", "unlabelled")}
    assert counts == {"train": 12, "rest": 28, "heldout": 8, "unlabelled": 59}


def test_preliminary_predicts_the_landmarks_again_from_other_crops(run: Path) -> None:
    config, folder = load_config(run / "config.yaml"), RunFolder(run)
    parts = read_faces(config, folder)
    more = read_unlabelled(config.data, parts.scheme, folder)
    network = LandmarkNet(config.model, config.head, parts.scheme.num_landmarks)
    network.load_state_dict(load_file(folder.weights("preliminary")))
    found = points(run, 0)
    assert len(found) == len(parts.rest) + 40
    training = {Path(image).name for image in (*parts.train.images, *parts.rest.images)}
    is_used = np.array([Path(image).name in training for image in more.images])
    for faces, kept in ((parts.rest, found[:28]), (more.select(is_used), found[28:])):
        loader = EvalLoader(faces, config.data, 32, batch_size=8, device=torch.device("cpu"))
        np.testing.assert_allclose(predict(network, loader, faces)[0], kept, atol=1e-3)
    assert not (run / "predictions/pretrain-unlabelled-0003.npz").exists()
    changed = [np.abs(points(run, number) - found).mean() for number in (1, 2)]
    assert min(changed) > 0.1
    assert not np.array_equal(points(run, 1), points(run, 2))


def test_the_report_says_which_faces_had_labels(run: Path) -> None:
    page = (run / "report.html").read_text("utf-8")
    assert "12 labelled training faces" in page
    assert "68 unlabelled in pretrain" in page


def test_a_moved_folder_is_taken_and_another_one_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    images = tmp_path / "images"
    shutil.copytree(run.parent / "images", images)
    config = load_config(run / "config.yaml", [f"output={tmp_path / 'run'}"])
    (tmp_path / "run/checkpoints/finetune/result.json").unlink()
    moved = _with_images(config, images)
    next(images.rglob("*.jpg")).unlink()
    with pytest.raises(ValueError, match=r"data\.unlabelled: .*unlabelled faces: 59 -> 58"):
        train(moved)
    with pytest.raises(ValueError, match=r"another config: data\.unlabelled: .* -> None"):
        train(_with_images(config, None))
    shutil.rmtree(images)
    shutil.copytree(run.parent / "images", images)
    train(moved)
    assert RunFolder(tmp_path / "run").is_finished("finetune")


def _with_images(config: Config, images: Path | None) -> Config:
    data = config.data.model_copy(update={"unlabelled": images})
    return config.model_copy(update={"data": data})


def test_few_labels_of_two_data_sets_with_points_that_are_not_labelled(
    tmp_path: Path, faces: Path
) -> None:
    """Labels are drawn over both sets; each face, labelled or not, keeps the set that it is of."""
    one = write_missing(faces, tmp_path / "one", "coco", 0)
    two = write_missing(faces, tmp_path / "two", "csv", 1)
    (tmp_path / "tiny.yaml").write_text(TINY)
    settings = (
        f"data.root=[{one},{two}]",
        "data.format=coco",
        "data.scheme=wflw98",
        "data.labels=0.5",
        "data.unlabelled_rest=true",
        f"data.unlabelled={faces / 'WFLW_images'}",
        "stages.pretrain.unlabelled_share=0.5",
        *(f"stages.{stage}.epochs=1" for stage in STAGES),
    )
    config = load_config(tmp_path / "tiny.yaml", [*settings, f"output={tmp_path / 'run'}"])
    parts = read_faces(config, RunFolder(config.output))
    assert parts.rest is not None
    assert set(parts.train.datasets) == set(parts.rest.datasets) == {"one", "two"}
    assert not parts.rest.labelled.any()
    assert 0 < parts.train.labelled.mean() < 1
    train(config)
    folder = RunFolder(config.output)
    counts = folder.result("pretrain")
    assert counts["labelled"] == len(parts.train)
    assert counts["unlabelled"] > len(parts.rest)
    assert np.isfinite(points(config.output, 0)).all()
    assert folder.is_finished("finetune")
