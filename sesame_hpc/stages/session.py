"""What every stage of a run works with, and how a stage's loaders and engine are built from it."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sesame_hpc.config import Config, StageConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loader import Appearance, EvalLoader, TrainLoader
from sesame_hpc.stages.faces import Faces
from sesame_hpc.stages.folder import RunFolder
from sesame_hpc.training.agreement import Agreement
from sesame_hpc.training.average import WeightAverage
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.distributed import World
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.fit import Fit
from sesame_hpc.training.monitor import Monitor
from sesame_hpc.training.precision import autocast_dtype
from sesame_hpc.training.prepare import prepare_network
from sesame_hpc.training.profiling import NoProfiler, StepProfiler
from sesame_hpc.training.schedule import micro_batch_size
from sesame_hpc.training.skipped import SkippedFaces
from sesame_hpc.training.task import Task
from sesame_hpc.training.throughput import matmul_rate, reset_peak_memory, training_flops
from sesame_hpc.training.window import LossWindow

__all__ = ["Session"]


@dataclass(frozen=True)
class Session:
    """A run in progress on this rank."""

    config: Config
    folder: RunFolder
    world: World
    faces: Faces
    monitor: Monitor
    agreement: Agreement

    def stage_config(self, name: str) -> StageConfig:
        return getattr(self.config.stages, name)

    def eval_loader(self, annotations: Annotations, batch_size: int) -> EvalLoader:
        return EvalLoader(
            annotations,
            self.config.data,
            self.config.model.image_size,
            batch_size=batch_size,
            device=self.world.device,
            rank=self.world.rank,
            world_size=self.world.size,
        )

    def train_loader(self, name: str, appearance: Appearance) -> TrainLoader:
        stage, runtime = self.stage_config(name), self.config.runtime
        return TrainLoader(
            self.faces.train,
            self.config.data,
            self.config.model.image_size,
            batch_size=micro_batch_size(stage, runtime, self.world.size),
            seed=self.config.seed,
            stage=name,
            device=self.world.device,
            rank=self.world.rank,
            world_size=self.world.size,
            appearance=appearance,
        )

    def engine(self, name: str, network: nn.Module, loader: TrainLoader) -> Engine:
        stage, runtime = self.stage_config(name), self.config.runtime
        total_steps = loader.steps_per_epoch // runtime.accumulation * stage.epochs
        prepare_network(network, runtime, self.world.device)
        return Engine(network, stage, runtime, self.world, total_steps)

    def fit(
        self,
        name: str,
        task: Task,
        engine: Engine,
        loader: TrainLoader,
        average: WeightAverage | None = None,
    ) -> dict[str, Any]:
        """Train a stage to its end.

        Returns `seconds`, interruptions left out, and the sample ids `skipped`: the training faces
        whose pictures could not be read.
        """
        skipped = SkippedFaces(loader, self.world, self.monitor)
        fit = Fit(
            name=name,
            stage=self.stage_config(name),
            task=task,
            engine=engine,
            loader=loader,
            accumulation=self.config.runtime.accumulation,
            checkpoints=Checkpoints(
                self.folder.stage(name), self.config.checkpoint.keep, self.world
            ),
            monitor=self.monitor,
            window=LossWindow(self.world, self._images_at_full_rate(engine.module)),
            skipped=skipped,
            log=self.config.log,
            every=self.config.checkpoint,
            agreement=self.agreement,
            average=average,
            profiler=self._profiler(name),
        )
        reset_peak_memory(self.world.device)
        return {"seconds": fit.run(), "skipped": skipped.ids}

    def _images_at_full_rate(self, network: nn.Module) -> float:
        """Images a second that one rank would train at the rate of a matrix product."""
        dtype = autocast_dtype(self.config.runtime, self.world.device)
        flops = training_flops(network, self.config.model.image_size)
        return matmul_rate(self.world.device, dtype) / flops

    def _profiler(self, name: str) -> NoProfiler:
        if not self.config.profile or not self.world.is_main:
            return NoProfiler()
        trace = self.folder.profile / f"{name}.json.gz"
        return StepProfiler(name, trace, self.world.device, self.monitor.show)
