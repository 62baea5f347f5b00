"""The steps that are timed against each other do the same work, that of the preset."""

import math

import pytest

from benchmarks.training.steps import TINY, Steps
from sesame_hpc.config import RuntimeConfig, find_config, load_config
from sesame_hpc.config.presets import preset_names
from sesame_hpc.distributed.world import connect
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.coordinate_losses import landmark_loss


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_has_a_tiny_network(preset: str) -> None:
    config = load_config(find_config(preset), ["data.root=.", *TINY])
    assert config.model.channels == (8, 8, 8)


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_all_steps_start_from_the_same_loss(preset: str) -> None:
    config = load_config(find_config(preset), ["data.root=.", *TINY])
    runtime = RuntimeConfig(device="cpu", threads=1)
    maker = Steps(config, 4, runtime, connect(runtime), load_scheme("wflw98"))
    batch = maker.fixed_batch()
    losses = [float(make()(batch)) for make in (maker.trainer, maker.plain, maker.reference)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    bare = config.loss.model_copy(update={"heatmap": 0.0})
    error = landmark_loss(maker.network()(batch.images), batch.landmarks, config.head, bare).item()
    assert (losses[0] > error + 0.01) if config.loss.heatmap else losses[0] == pytest.approx(error)
    assert math.isfinite(maker.pretrain()(batch))
