"""Training steps that do the same work: the trainer's, a hand-written loop's, a reference's."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sesame_hpc.config import Config, RuntimeConfig, StageConfig
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.world import World
from sesame_hpc.models.compiling import compile_training
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.schemes import Scheme
from sesame_hpc.stages.coordinates import CoordinateTask
from sesame_hpc.stages.reconstruction import Masker, ReconstructionTask
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.metrics_window import MetricsWindow
from sesame_hpc.training.precision import autocast_dtype
from sesame_hpc.training.prepare import compiled_unit, prepare_network
from sesame_hpc.training.task import Task

__all__ = ["TINY", "Step", "Steps"]

TINY = [
    "model.width=8",
    "model.widths=null",
    "model.levels=2",
    "model.image_size=32",
    "model.map_size=8",
]
"""Settings of the smallest network, for trying out a script."""

RECORD_EVERY = 20
_SCHEDULE_STEPS = 100_000
_EPS = 1e-7

Step = Callable[[Batch], Tensor | float]
"""Trains on a batch and returns its loss."""


@dataclass(frozen=True)
class Steps:
    """Makes steps of one network at one batch size; each starts from the same weights.

    Loss and optimizer are those of the preset's preliminary stage.
    """

    config: Config
    batch: int
    runtime: RuntimeConfig
    world: World
    scheme: Scheme

    def fixed_batch(self) -> Batch:
        """Random pixels and landmarks, laid out as the loader's."""
        generator = torch.Generator().manual_seed(0)
        size, device = self.config.model.image_size, self.world.device
        images = torch.rand(self.batch, 3, size, size, generator=generator)
        landmarks = torch.rand(self.batch, self.scheme.num_landmarks, 2, generator=generator)
        return Batch(
            images=images.to(device, memory_format=torch.channels_last),
            landmarks=landmarks.to(device),
            sample_ids=torch.arange(self.batch),
            matrices=torch.zeros(self.batch, 2, 3, dtype=torch.float64),
        )

    def network(self) -> LandmarkNet:
        torch.manual_seed(0)
        return LandmarkNet(
            self.config.model,
            self.config.head,
            self.scheme.num_landmarks,
            maps_for_losses=self.config.head.impl == "conv",
        )

    def trainer(self, ema: float | None = None) -> Step:
        """A step of the preliminary and finetune stages, as the training loop takes it."""
        return self.in_loop(self.engine(self.network()), ema)

    def pretrain(self) -> Step:
        """A step of the pretrain stage with its masking, all regions equally probable."""
        engine = self.engine(ReconstructionNet(self.config.model, self.config.head))
        shares = dict.fromkeys(self.scheme.regions, 1.0)
        masker = Masker(shares, self.scheme, self.config.masking, 0)
        task = ReconstructionTask(engine.module, masker, None, None, self.world)  # type: ignore[arg-type]
        return self._in_loop(engine, task, None)

    def plain(self) -> Step:
        """The coordinate step by hand: channels-last, autocast, a fused optimizer, its schedule."""
        network = self.network().to(self.world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        unit = compiled_unit(self.runtime, self.world.device)
        if unit is not None:
            compile_training(network, unit)
        task, optimizer = self._task(network), self._optimizer(network, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9999**step)

        def forward(images: Tensor) -> Any:
            with self._autocast():
                return network(images)

        def step(given: Batch) -> Tensor:
            loss = task.loss(forward, given, 0)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            return loss.detach()

        return step

    def reference(self) -> Step:
        """A step as in torchvision's reference scripts: fp32, default layout, loss.item()."""
        network = self.network().to(self.world.device)
        task, optimizer = self._task(network), self._optimizer(network)

        def step(given: Batch) -> float:
            loss = task.loss(lambda images: network(images.contiguous()), given, 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    def engine(self, network: nn.Module) -> Engine:
        """The trainer's engine of a network."""
        prepare_network(network, self.runtime, self.world.device)
        return Engine(network, self._stage(), self.runtime, self.world, _SCHEDULE_STEPS)

    def _stage(self) -> StageConfig:
        return self.config.stages.preliminary.model_copy(update={"batch_size": self.batch})

    def _task(self, network: nn.Module) -> CoordinateTask:
        config = self.config
        return CoordinateTask(network, config.head, config.loss, None, None, self.world)  # type: ignore[arg-type]

    def _optimizer(self, network: nn.Module, fused: bool = False) -> torch.optim.Optimizer:
        stage = self._stage()
        kind = torch.optim.AdamW if stage.weight_decay else torch.optim.Adam
        settings: dict[str, Any] = {"betas": stage.betas, "weight_decay": stage.weight_decay}
        return kind(network.parameters(), lr=stage.lr, eps=_EPS, fused=fused, **settings)

    def in_loop(self, engine: Engine, ema: float | None = None) -> Step:
        """The coordinate step of an engine's network, as the training loop takes it."""
        return self._in_loop(engine, self._task(engine.module), ema)

    def _in_loop(self, engine: Engine, task: Task, ema: float | None) -> Step:
        """Engine, loss, a record every `RECORD_EVERY` steps, EMA where `ema` is its decay."""
        average = ModelEMA(engine.module, ema) if ema else None
        window, taken = MetricsWindow(self.world, 1.0), 0

        def step(given: Batch) -> Tensor:
            nonlocal taken
            loss = task.loss(engine.forward, given, 0)
            window.add(loss, given.sample_ids)
            engine.step(loss)
            if average:
                average.update()
            taken += 1
            if taken % RECORD_EVERY == 0:
                window.flush("a benchmark", taken)
            return loss.detach()

        return step

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        dtype = autocast_dtype(self.runtime, self.world.device)
        if dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.world.device.type, dtype=dtype)
