"""The state shared by all stages of a run, from which loaders, engines and loops are built."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sesame_hpc.config import Config, StageConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Appearance, EvalLoader, TrainLoader
from sesame_hpc.data.loading.order import EpochOrder
from sesame_hpc.data.loading.views import Views
from sesame_hpc.data.pack.memory import cached_in_memory
from sesame_hpc.data.rng import keyed_generator
from sesame_hpc.distributed.compile_turn import CompileTurn
from sesame_hpc.distributed.interruption import Interrupted
from sesame_hpc.distributed.stop_consensus import StopConsensus
from sesame_hpc.distributed.world import World
from sesame_hpc.run.faces import Faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import finish_stage
from sesame_hpc.training.callbacks import Callbacks, StageEnd
from sesame_hpc.training.checkpoint import Checkpoints, load_weights, save_weights
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.loop import Data, Instruments, Learner, Schedule, TrainingLoop
from sesame_hpc.training.metrics_window import MetricsWindow
from sesame_hpc.training.monitor import Monitor
from sesame_hpc.training.precision import autocast_dtype
from sesame_hpc.training.prepare import compiled_unit, prepare_network
from sesame_hpc.training.profiling import NoProfiler, StepProfiler
from sesame_hpc.training.schedule import micro_batch_size
from sesame_hpc.training.skipped import SkippedFaces
from sesame_hpc.training.task import Task
from sesame_hpc.training.throughput import matmul_rate, reset_peak_memory, training_flops

__all__ = ["Session"]


@dataclass
class Session:
    """A run in progress on this rank."""

    config: Config
    folder: RunFolder
    world: World
    faces: Faces
    monitor: Monitor
    stop: StopConsensus
    callbacks: Callbacks = field(default_factory=Callbacks)

    @cached_property
    def train_faces(self) -> Annotations:
        """The training faces, their images decoded once for all stages if `data.cache` says so."""
        return self.cached(self.faces.train, "training")

    def cached(self, faces: Annotations, kind: str) -> Annotations:
        """`faces`, with their images decoded and in memory if `data.cache` says so."""
        config = self.config
        if config.data.cache == "none":
            return faces
        self.monitor.message(f"decoding {len(faces)} {kind} images once (data.cache=memory)")
        return cached_in_memory(faces, config.data, config.model.image_size)

    def stage_config(self, name: str) -> StageConfig:
        return getattr(self.config.stages, name)

    def eval_loader(
        self, annotations: Annotations, batch_size: int, views: Views | None = None
    ) -> EvalLoader:
        return EvalLoader(
            annotations,
            self.config.data,
            self.config.model.image_size,
            batch_size=batch_size,
            device=self.world.device,
            rank=self.world.rank,
            world_size=self.world.size,
            views=views,
        )

    def train_loader(
        self,
        name: str,
        appearance: Appearance,
        faces: Annotations | None = None,
        order: EpochOrder | None = None,
        landmarks: Callable[[int], NDArray[np.float64]] | None = None,
    ) -> TrainLoader:
        """The loader of stage `name`; of the training faces unless others are given."""
        stage, runtime = self.stage_config(name), self.config.runtime
        faces = self.train_faces if faces is None else faces
        return TrainLoader(
            faces,
            self.config.data,
            self.config.model.image_size,
            batch_size=micro_batch_size(stage, runtime, self.world.size),
            seed=self.config.seed,
            stage=name,
            device=self.world.device,
            rank=self.world.rank,
            world_size=self.world.size,
            appearance=appearance,
            order=order or EpochOrder(self.config.seed, name, len(faces), stage.epoch_samples),
            landmarks=landmarks,
        )

    def engine(self, name: str, network: nn.Module, loader: TrainLoader) -> Engine:
        stage, runtime = self.stage_config(name), self.config.runtime
        total_steps = loader.steps_per_epoch // runtime.accumulation * stage.epochs
        prepare_network(network, runtime, self.world.device)
        return Engine(network, stage, runtime, self.world, total_steps)

    def loop(
        self,
        name: str,
        task: Task,
        engine: Engine,
        loader: TrainLoader,
        ema: ModelEMA | None = None,
    ) -> TrainingLoop:
        """The training loop of stage `name`."""
        reset_peak_memory(self.world.device)
        accumulation = self.config.runtime.accumulation
        schedule = self._schedule(name, loader.steps_per_epoch // accumulation)
        checkpoints = self.checkpoints(name, schedule.saves_after)
        return TrainingLoop(
            schedule,
            Learner(task, engine, ema, checkpoints, self._compile_turn()),
            Data(loader, SkippedFaces(loader, self.world, self.monitor)),
            Instruments(
                self.monitor,
                MetricsWindow(self.world, self._images_at_full_rate(engine.module), accumulation),
                self._profiler(name),
                self.callbacks,
            ),
            self.stop,
        )

    def _schedule(self, name: str, steps_per_epoch: int) -> Schedule:
        config = self.config
        return Schedule(
            name,
            self.stage_config(name).epochs,
            steps_per_epoch,
            config.runtime.accumulation,
            config.log,
            config.checkpoint,
            config.divergence,
        )

    def checkpoints(
        self, name: str, is_scheduled: Callable[[int], bool] = lambda step: True
    ) -> Checkpoints:
        """Those of stage `name`."""
        return Checkpoints(
            self.folder.stage(name),
            self.config.checkpoint.keep,
            self.world,
            self.folder.lease.check,
            is_scheduled,
        )

    def weights_of(self, stage: str) -> dict[str, torch.Tensor]:
        """The weights that `stage` has left. Collective: rank 0 reads them for all.

        The node of another rank may see the shared folder as it was before they were written.
        """
        world = self.world
        return world.share(load_weights(self.folder.weights(stage)) if world.is_main else None)

    def raise_if_stopping(self, name: str) -> None:
        """Raise Interrupted if the ranks agree to stop before stage `name` begins."""
        stop = self.stop.wait()
        if stop:
            raise Interrupted(name, None, stop)

    def seed_weights(self, name: str) -> None:
        """Seed torch so that initial weights depend only on (seed, stage)."""
        generator = keyed_generator(self.config.seed, name, 0, 0, "weights")
        torch.manual_seed(int(generator.integers(2**62)))

    def finish(self, name: str, network: nn.Module, result: dict[str, Any]) -> None:
        """Save the weights of a stage, then mark it as finished; rank 0 alone. Tell callbacks.

        Collective: the callbacks of every rank find both on disk.

        Raises FolderBusy where another process has taken the run over.
        """
        if self.world.is_main:
            self.folder.lease.check()
            save_weights(self.folder.weights(name), network.state_dict())
            finish_stage(self.folder, name, result)
        self.world.barrier()  # whether or not this rank has callbacks: others may
        self.callbacks.call(StageEnd(name, result["steps"], self.world.rank, result, network))

    def _images_at_full_rate(self, network: nn.Module) -> float:
        """Images per second that one rank would train at the rate of a matrix product."""
        dtype = autocast_dtype(self.config.runtime, self.world.device)
        flops = training_flops(network, self.config.model.image_size)
        return matmul_rate(self.world.device, dtype) / flops

    def _compile_turn(self) -> CompileTurn:
        """The ranks wait in it for half as long as at most for each other in a step."""
        runtime, device = self.config.runtime, self.world.device
        compiles = device.type == "cuda" or compiled_unit(runtime, device) is not None
        return CompileTurn(self.world, compiles, 30 * runtime.timeout_minutes)

    def _profiler(self, name: str) -> NoProfiler:
        if not self.config.profile or not self.world.is_main:
            return NoProfiler()
        trace = self.folder.profile / f"{name}.json.gz"
        return StepProfiler(name, trace, self.world.device, self.monitor.show)
