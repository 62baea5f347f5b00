"""Pretrain with `landmark_weight`: landmarks and reconstruction from the masked images."""

from pathlib import Path
from typing import Any

import pytest
import tiny_stage
import torch
from safetensors.torch import load_file
from training_process import TINY

from sesame_hpc.config import Config, HeadConfig, MaskingConfig, RuntimeConfig, load_config
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.masking.masker import Masker
from sesame_hpc.models.heads import JointNet
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.coordinate_losses import landmark_loss
from sesame_hpc.stages.joint import JointTask
from sesame_hpc.stages.reconstruction import reconstruction_loss
from sesame_hpc.stages.train import train


@pytest.fixture(scope="module")
def world() -> World:
    return connect(RuntimeConfig(device="cpu", threads=1))


def task(world: World, weight: float, share: float = 1.0) -> JointTask:
    torch.manual_seed(0)
    network = JointNet(tiny_stage.MODEL, HeadConfig(), tiny_stage.SCHEME.num_landmarks)
    config = Config.model_validate(
        {
            "output": "run",
            "data": {"root": "faces"},
            "model": tiny_stage.MODEL.model_dump(),
            "stages": {"pretrain": {"landmark_weight": weight}},
        }
    )
    shares = dict.fromkeys(tiny_stage.SCHEME.regions, 1.0)
    masker = Masker(shares, tiny_stage.SCHEME, MaskingConfig(), seed=0)
    nothing: Any = None
    return JointTask(network, config, masker, nothing, nothing, nothing, world, share)


def given(missing: float = 0.0, filling: float = 0.5) -> Batch:
    return next(tiny_stage.batches(torch.device("cpu"), 1, missing, filling))


def test_the_loss_is_eq_2_and_the_weighted_landmark_loss(world: World) -> None:
    joint, batch = task(world, 0.25), given()
    joint.network.eval()
    masked, lam = joint.masker(batch, "pretrain", 0)
    reconstructions, maps = joint.network(masked)
    parts = (
        reconstruction_loss(reconstructions, batch.images, lam, MaskingConfig().outside_weight),
        landmark_loss(maps, batch.landmarks, joint.config.head, joint.config.loss),
    )
    loss = joint.loss(joint.network, batch, epoch=0)
    torch.testing.assert_close(loss, parts[0] + 0.25 * parts[1])
    unmasked = landmark_loss(
        joint.network(batch.images)[1], batch.landmarks, joint.config.head, joint.config.loss
    )
    assert not torch.isclose(unmasked, parts[1])


def test_points_without_labels_teach_nothing(world: World) -> None:
    joint = task(world, 1.0, share=0.7)
    losses = [joint.loss(joint.network, given(0.3, filling), epoch=0) for filling in (0.5, 0.9)]
    assert torch.equal(*losses)
    whole = task(world, 1.0)
    assert not torch.isclose(whole.loss(whole.network, given(), epoch=0), losses[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Path:
    """A finished run's folder, whose finetune does not move; read it only."""
    folder = tmp_path_factory.mktemp("joint")
    (folder / "tiny.yaml").write_text(TINY)
    settings = (
        f"data.root={faces}",
        f"output={folder / 'run'}",
        "data.labels=12",
        "data.unlabelled_rest=true",
        "stages.pretrain.landmark_weight=0.5",
        "stages.pretrain.start_from=preliminary",
        *(f"stages.{stage}.epoch_samples=24" for stage in ("preliminary", "pretrain", "finetune")),
        "stages.finetune.lr=1e-30",
        "stages.finetune.final_lr=1e-30",
    )
    train(load_config(folder / "tiny.yaml", settings))
    return folder / "run"


def test_pretrain_reports_the_nme_of_its_landmarks(run: Path) -> None:
    result = RunFolder(run).result("pretrain")
    assert result["heldout_nme"] > 0
    assert result["heldout_loss"] > 0
    assert (result["labelled"], result["unlabelled"]) == (12, 28)


def test_finetune_takes_the_landmark_heads_over(run: Path) -> None:
    folder = RunFolder(run)
    source, target = (load_file(folder.weights(stage)) for stage in ("pretrain", "finetune"))
    heads = [key for key in target if ".head." in key]
    assert heads
    for key in heads:
        assert source[key].shape[0] > target[key].shape[0]
        assert torch.equal(source[key][: len(target[key])], target[key]), key
