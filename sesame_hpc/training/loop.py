"""The training loop of one stage: steps, records, validation, checkpoints, and resuming.

Progress is one number, the optimizer step. Everything random is keyed by what that number implies
(epoch and sample ids), so a stage that was interrupted anywhere ends with the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sesame_hpc.config import CheckpointConfig, DivergenceConfig, LogConfig
from sesame_hpc.data.loading.loader import Batch, TrainLoader
from sesame_hpc.distributed.compile_turn import CompileTurn
from sesame_hpc.distributed.interruption import Interrupted, Stop
from sesame_hpc.distributed.stop_consensus import StopConsensus
from sesame_hpc.training.callbacks import (
    CallbackError,
    Callbacks,
    CheckpointSaved,
    StageStart,
    StepEnd,
    Validation,
)
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.divergence import Diverged, LossWatch
from sesame_hpc.training.elapsed import Elapsed
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.metrics_window import MetricsWindow
from sesame_hpc.training.monitor import Monitor
from sesame_hpc.training.profiling import NoProfiler
from sesame_hpc.training.skipped import SkippedFaces
from sesame_hpc.training.step_errors import StepPlace
from sesame_hpc.training.task import Task

__all__ = ["Data", "Instruments", "Learner", "Schedule", "TrainingLoop"]


@dataclass(frozen=True)
class Schedule:
    """How long stage `name` trains, when it validates and saves, and what it does if it diverges.

    `accumulation` micro-batches make one optimizer step. Validation, images and checkpoints are due
    at the end of the epochs given by `log` and `checkpoint`, and of the last epoch.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    accumulation: int
    log: LogConfig
    checkpoint: CheckpointConfig
    divergence: DivergenceConfig

    def is_due(self, epoch: int, every: int) -> bool:
        """Whether what happens every `every` epochs (0: only at the last) is due after `epoch`."""
        return epoch + 1 == self.epochs or (every > 0 and (epoch + 1) % every == 0)

    def saves_at_epoch(self, epoch: int) -> bool:
        return self.is_due(epoch, self.checkpoint.every_epochs)

    def saves_at_step(self, step: int) -> bool:
        every = self.checkpoint.every_steps
        return every is not None and step % every == 0

    def saves_after(self, step: int) -> bool:
        """Whether a checkpoint is due after optimizer step `step`, counted from 1."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self.saves_at_step(step) or (within == 0 and self.saves_at_epoch(epoch - 1))


@dataclass(frozen=True)
class Learner:
    """The network in training: objective, engine, EMA if any, checkpoints, who compiles first."""

    task: Task
    engine: Engine
    ema: ModelEMA | None
    checkpoints: Checkpoints
    turn: CompileTurn

    @property
    def network(self) -> nn.Module:
        return self.engine.module


@dataclass(frozen=True)
class Data:
    """The batches, and the faces that they skip."""

    loader: TrainLoader
    skipped: SkippedFaces


@dataclass(frozen=True)
class Instruments:
    """Metrics, display, profiler and callbacks."""

    monitor: Monitor
    window: MetricsWindow
    profiler: NoProfiler = field(default_factory=NoProfiler)
    callbacks: Callbacks = field(default_factory=Callbacks)


class TrainingLoop:
    """Trains `learner` on `data` for `schedule`, to its end or until the ranks agree to stop."""

    def __init__(
        self,
        schedule: Schedule,
        learner: Learner,
        data: Data,
        instruments: Instruments,
        stop: StopConsensus,
    ) -> None:
        self.schedule = schedule
        self.learner = learner
        self.data = data
        self.instruments = instruments
        self.stop = stop
        self.steps_per_epoch = schedule.steps_per_epoch
        self._watch = LossWatch(schedule.divergence)
        self._rewound: dict[str, Any] | None = None
        self._elapsed = Elapsed()
        self._at_step = 0

    def run(self) -> dict[str, Any]:
        """Train to the end. Collective.

        Returns `seconds` and `cpu_seconds` of training (see `Elapsed`), the number of optimizer
        `steps`, and `skipped`, the sample ids of the training faces whose images could not be read.
        Also `rewound`, from and to which step, where the stage went back.

        Raises:
            FloatingPointError: a loss, weight or moment is not finite, or the loss diverges, and
                the stage does not go back (`divergence`); earlier checkpoints stay.
            CallbackError: a callback failed.
            Interrupted: the ranks agreed to stop, and saved.
        """
        last = self.steps_per_epoch * self.schedule.epochs
        try:
            step = self._resume()
            while step < last:
                epoch, within = divmod(step, self.steps_per_epoch)
                try:
                    self._train_epoch(epoch, within)
                    step = (epoch + 1) * self.steps_per_epoch
                    self._end_epoch(epoch, step)
                except Diverged as diverged:
                    step = self._go_back(diverged)
        except (FloatingPointError, CallbackError) as error:
            epoch = max(0, self._at_step - 1) // self.steps_per_epoch
            self.instruments.monitor.error(self.schedule.name, epoch, self._at_step, str(error))
            raise
        return {
            **self._elapsed.record(),
            "steps": last,
            "skipped": self.data.skipped.ids,
        } | ({"rewound": self._rewound} if self._rewound else {})

    def _resume(self) -> int:
        schedule, learner = self.schedule, self.learner
        state = learner.checkpoints.load_latest(learner.engine)
        step = 0
        if state is not None:
            step = int(state["step"])
            self._elapsed.resume(state)
            self._restore(state)
            self._rewound = state["rewound"]
            if self._rewound:
                learner.engine.scale_lr(self._rewound["lr_factor"])
        monitor = self.instruments.monitor
        for note in learner.checkpoints.notes:
            monitor.message(f"{schedule.name}: {note}")
        monitor.start(schedule.name, schedule.epochs, self.steps_per_epoch, step)
        steps = schedule.epochs * self.steps_per_epoch
        self.instruments.callbacks.call(
            StageStart(schedule.name, step, self.stop.rank, schedule.epochs, steps, learner.network)
        )
        if state is not None and not state.get("validated", True):
            self._validate(step // self.steps_per_epoch - 1, step)
        return step

    def _restore(self, state: dict[str, Any]) -> None:
        self.data.skipped.restore(state["skipped"])
        self._watch.restore(state["watch"])
        if self.learner.ema:
            self.learner.ema.restore(state["average"])

    def _go_back(self, diverged: Diverged) -> int:
        """Restore an earlier checkpoint, at a smaller learning rate from now on; its step.

        Nothing on disk says so until the next checkpoint. A run that is killed before that trains
        up to `diverged.step` again, and goes back in the same way.

        Raises `diverged`, or why the stage does not go back.
        """
        schedule, learner = self.schedule, self.learner
        if schedule.divergence.action != "rewind":
            raise diverged
        if self._rewound:
            raise FloatingPointError(
                f"{diverged.cause}. The stage has already gone back once, to step "
                f"{self._rewound['to']}. Train again with a smaller learning rate (another "
                "output=FOLDER)."
            )
        count, factor = schedule.divergence.checkpoints, schedule.divergence.lr_factor
        learner.engine.scale_lr(factor)
        state = learner.checkpoints.go_back(learner.engine, diverged.step, count)
        if state is None:
            raise FloatingPointError(
                f"{diverged.cause}. No earlier checkpoint is available: train again with "
                "a smaller learning rate (another output=FOLDER)."
            )
        step = int(state["step"])
        self._rewound = {"from": diverged.step, "to": step, "lr_factor": factor}
        self._restore(state)
        self.instruments.window.clear()
        monitor = self.instruments.monitor
        for note in learner.checkpoints.notes:
            monitor.message(f"{schedule.name}: {note}")
        monitor.start(schedule.name, schedule.epochs, self.steps_per_epoch, step)
        # At the first step that is trained at the smaller rate: who resumes before it forgets it.
        text = (
            f"went back from step {diverged.step} to step {step} and continued at {factor:g} times "
            f"the learning rate: {diverged.cause}"
        )
        monitor.note(schedule.name, step // self.steps_per_epoch, step + 1, text)
        return step

    def _train_epoch(self, epoch: int, within: int) -> None:
        window, profiler = self.instruments.window, self.instruments.profiler
        batches = self.data.loader.epoch(epoch, within * self.schedule.accumulation)
        batches = window.watch(batches)
        window.restart_clock()
        for index in range(within, self.steps_per_epoch):
            place = self._place(epoch, index)
            with profiler.step(), place.named():
                losses = self._optimizer_step(batches, epoch, place)
            self._tell_of_step(losses, epoch, epoch * self.steps_per_epoch + index + 1)
            if index + 1 == self.steps_per_epoch:
                return
            self._between_steps(epoch, epoch * self.steps_per_epoch + index + 1)

    def _place(self, epoch: int, index: int) -> StepPlace:
        """Of the optimizer step with number `index` in its epoch, from 0."""
        step = epoch * self.steps_per_epoch + index + 1
        what = f"stage {self.schedule.name}, epoch {epoch + 1}, step {step}"
        return StepPlace(what, self.stop.rank, step)

    def _tell_of_step(self, losses: list[Tensor], epoch: int, step: int) -> None:
        if callbacks := self.instruments.callbacks:
            loss, lr = torch.stack(losses).mean(), self.learner.engine.lr
            callbacks.call(StepEnd(self.schedule.name, step, self.stop.rank, epoch + 1, loss, lr))

    def _optimizer_step(
        self, batches: Iterator[Batch], epoch: int, place: StepPlace
    ) -> list[Tensor]:
        """The losses of its micro-batches, detached."""
        learner, phase = self.learner, self.instruments.profiler.phase
        losses = []
        for _ in range(self.schedule.accumulation):
            place.sample_ids = ()
            with phase("data wait"):
                batch = next(batches)
            place.sample_ids = batch.sample_ids.tolist()
            with phase("forward"), learner.turn.forward():
                loss = learner.task.loss(learner.engine.forward, batch, epoch)
            self.instruments.window.add(loss, batch.sample_ids)
            losses.append(loss.detach())
            with phase("backward"):
                learner.turn.backward(loss)
                learner.engine.backward(loss)
            with phase("optimizer"):
                learner.engine.update()
        if learner.engine.left_out:
            self._at_step = place.step
            where = f"stage {self.schedule.name}, epoch {epoch + 1}"
            self.instruments.window.flush(where, place.step)  # a loss that is not finite says more
            raise Diverged(f"a gradient is not finite at {place.what}", place.step)
        if learner.ema:
            learner.ema.update()
        return losses

    def _between_steps(self, epoch: int, step: int) -> None:
        save = self.schedule.saves_at_step(step)
        record = save or step % self.schedule.log.every_steps == 0 or self._watch.ends_at(step)
        # A record waits for the device. No rank does so before all have queued this step's work,
        # so that a missing rank is noticed by the control group, which can name it.
        stop = self.stop.wait() if record else self.stop.poll()
        if record or stop:
            self._record(epoch, step)
        if save or stop:
            self.data.skipped.collect(self.schedule.name, epoch, step)
            self._save(step)
        self._raise_if_stopping(stop, step)

    def _end_epoch(self, epoch: int, step: int) -> None:
        """When stopping, time is short: save first, and validate after resuming."""
        stop = self.stop.wait()
        self._record(epoch, step)
        self.data.skipped.collect(self.schedule.name, epoch, step)
        if stop:
            self._save(step, validated=False)
        self._raise_if_stopping(stop, step)
        self._validate(epoch, step)
        if self.schedule.saves_at_epoch(epoch) or self.schedule.saves_at_step(step):
            self._save(step)

    def _raise_if_stopping(self, stop: Stop, step: int) -> None:
        if stop:
            raise Interrupted(self.schedule.name, step, stop)

    def _validate(self, epoch: int, step: int) -> None:
        """Run the validation and save the images that are due at the end of `epoch`."""
        schedule, task = self.schedule, self.learner.task
        if schedule.is_due(epoch, schedule.log.eval_epochs):
            figures = task.validate()
            self.instruments.monitor.validation(schedule.name, epoch, step, figures)
            network = self.learner.network
            self.instruments.callbacks.call(
                Validation(schedule.name, step, self.stop.rank, epoch + 1, figures, network)
            )
        if schedule.is_due(epoch, schedule.log.images_epochs):
            task.save_images(epoch)
            if self.instruments.monitor.wants_images:
                self.instruments.monitor.images(schedule.name, step, task.draw())

    def _record(self, epoch: int, step: int) -> None:
        name, self._at_step = self.schedule.name, step
        flushed = self.instruments.window.flush(f"stage {name}, epoch {epoch + 1}", step)
        if flushed is None:
            return
        monitor, lr = self.instruments.monitor, self.learner.engine.lr
        monitor.step(name, epoch, step, lr, flushed.loss, flushed.throughput)
        diverges = self._watch.add(flushed.losses, step)
        if diverges and self.schedule.divergence.action != "warn":
            raise Diverged(diverges, step)
        if diverges:
            monitor.note(name, epoch, step, diverges)

    def _save(self, step: int, validated: bool = True) -> None:
        learner, self._at_step = self.learner, step
        self.instruments.monitor.sync()
        state = {
            "step": step,
            **self._elapsed.record(),
            "average": learner.ema.state() if learner.ema else None,
            "skipped": self.data.skipped.ids,
            "validated": validated,
            "watch": self._watch.state(),
            "rewound": self._rewound,
        }
        steps = self.steps_per_epoch * self.schedule.epochs
        path = learner.checkpoints.save(learner.engine, step, state, steps)
        self.instruments.callbacks.call(
            CheckpointSaved(self.schedule.name, step, self.stop.rank, path)
        )
        self.instruments.window.restart_clock()
