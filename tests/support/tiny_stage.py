"""A stage's engine and task without data on disk: a small network and random batches."""

from collections.abc import Iterator
from typing import Any

import torch

from sesame_hpc.config import (
    HeadConfig,
    LossConfig,
    MaskingConfig,
    ModelConfig,
    RuntimeConfig,
    StageConfig,
)
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.world import World
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.coordinates import CoordinateTask
from sesame_hpc.stages.reconstruction import Masker, ReconstructionTask
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.prepare import prepare_network

__all__ = ["BATCH", "MODEL", "batches", "coordinates", "network", "reconstruction", "train"]

BATCH = 4
MODEL = ModelConfig(stacks=2, width=8, levels=2, image_size=32, map_size=8)
SCHEME = load_scheme("ibug68")


def batches(
    device: torch.device, count: int, missing: float = 0.0, filling: float = 0.5
) -> Iterator[Batch]:
    """Always the same ones; the share `missing` of points is not labelled, and is `filling`."""
    generator = torch.Generator().manual_seed(1)
    for number in range(count):
        images = torch.rand(BATCH, 3, MODEL.image_size, MODEL.image_size, generator=generator)
        landmarks = torch.rand(BATCH, SCHEME.num_landmarks, 2, generator=generator)
        labelled = None
        if missing:
            labelled = torch.rand(landmarks.shape[:2], generator=generator) > missing
            landmarks[~labelled] = filling
        yield Batch(
            images=images.to(device, memory_format=torch.channels_last),
            landmarks=landmarks.to(device),
            sample_ids=torch.arange(BATCH) + number * BATCH,
            matrices=torch.zeros(BATCH, 2, 3, dtype=torch.float64),
            labelled=labelled,
        )


def network(head: HeadConfig | None = None, maps_for_losses: bool = False) -> LandmarkNet:
    torch.manual_seed(0)
    head = head or HeadConfig()
    return LandmarkNet(MODEL, head, SCHEME.num_landmarks, maps_for_losses=maps_for_losses)


def _engine(module: torch.nn.Module, world: World, runtime: dict[str, Any]) -> Engine:
    settings = RuntimeConfig(device=world.device.type, **runtime)  # type: ignore[arg-type]
    prepare_network(module, settings, world.device)
    stage = StageConfig(batch_size=BATCH * settings.accumulation, lr=3e-3, final_lr=1e-3)
    return Engine(module, stage, settings, world, total_steps=20)


def coordinates(
    world: World, head: HeadConfig | None = None, heatmap: float = 0.0, **runtime: Any
) -> tuple[Engine, CoordinateTask]:
    head = head or HeadConfig()
    engine = _engine(network(head, head.impl == "conv"), world, runtime)
    loss = LossConfig(heatmap=heatmap)
    task = CoordinateTask(engine.module, head, loss, None, None, world)  # type: ignore[arg-type]
    return engine, task


def reconstruction(world: World, **runtime: Any) -> tuple[Engine, ReconstructionTask]:
    torch.manual_seed(0)
    engine = _engine(ReconstructionNet(MODEL, HeadConfig()), world, runtime)
    shares = dict.fromkeys(SCHEME.regions, 1.0)
    masker = Masker(shares, SCHEME, MaskingConfig(), seed=0)
    return engine, ReconstructionTask(engine.module, masker, None, None, world)  # type: ignore[arg-type]


def train(engine: Engine, task: Any, given: Iterator[Batch]) -> list[torch.Tensor]:
    """The losses of a step on each batch, still on the device."""
    losses = []
    for batch in given:
        loss = task.loss(engine.forward, batch, epoch=0)
        engine.step(loss)
        losses.append(loss.detach())
    return losses
