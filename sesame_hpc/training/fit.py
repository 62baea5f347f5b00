"""The training loop of one stage: steps, records, validation, checkpoints, and resuming.

Progress is one number, the optimizer step. Everything random is keyed by what that number implies
(epoch and sample ids), so a stage that was interrupted anywhere ends with the same bits.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from sesame_hpc.config import CheckpointConfig, LogConfig, StageConfig
from sesame_hpc.data.loader import Batch, TrainLoader
from sesame_hpc.training.agreement import Agreement
from sesame_hpc.training.average import WeightAverage
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.interruption import Interrupted, Stop
from sesame_hpc.training.monitor import Monitor
from sesame_hpc.training.profiling import NoProfiler
from sesame_hpc.training.skipped import SkippedFaces
from sesame_hpc.training.task import Task
from sesame_hpc.training.window import LossWindow

__all__ = ["Fit"]


@dataclass
class Fit:
    """Trains `task` with `engine` on `loader` for `stage.epochs` epochs.

    `accumulation` micro-batches of the loader make one optimizer step. Validation, pictures and
    checkpoints come at the ends of the epochs that `log` and `every` name, and at the last.
    """

    name: str
    stage: StageConfig
    task: Task
    engine: Engine
    loader: TrainLoader
    accumulation: int
    checkpoints: Checkpoints
    monitor: Monitor
    window: LossWindow
    skipped: SkippedFaces
    log: LogConfig
    every: CheckpointConfig
    agreement: Agreement
    average: WeightAverage | None = None
    profiler: NoProfiler = field(default_factory=NoProfiler)
    _seconds_before: float = field(default=0.0, init=False)
    _started: float = field(default_factory=time.perf_counter, init=False)

    @property
    def steps_per_epoch(self) -> int:
        return self.loader.steps_per_epoch // self.accumulation

    def run(self) -> float:
        """Train to the end; seconds it took, without what an interruption threw away. Collective.

        Raises FloatingPointError where a loss is not finite; what was checkpointed before stays.
        Raises Interrupted, after saving, where the ranks agree to stop.
        """
        step = self._resume()
        while step < self.steps_per_epoch * self.stage.epochs:
            epoch, within = divmod(step, self.steps_per_epoch)
            self._train_epoch(epoch, within)
            step = (epoch + 1) * self.steps_per_epoch
            self._end_epoch(epoch, step)
        return self._seconds()

    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    def _resume(self) -> int:
        state = self.checkpoints.load_latest(self.engine)
        step = 0
        if state is not None:
            step, self._seconds_before = int(state["step"]), float(state["seconds"])
            self.skipped.restore(state.get("skipped", []))
            if self.average:
                self.average.restore(state["average"])
        self.monitor.start(self.name, self.stage.epochs, self.steps_per_epoch, step)
        if state is not None and not state.get("looked_at", True):
            self._look_at(step // self.steps_per_epoch - 1, step)
        return step

    def _train_epoch(self, epoch: int, within: int) -> None:
        batches = self.window.watch(self.loader.epoch(epoch, within * self.accumulation))
        self.window.restart_clock()
        for index in range(within, self.steps_per_epoch):
            with self.profiler.step():
                self._optimizer_step(batches, epoch)
            if index + 1 == self.steps_per_epoch:
                return
            self._between_steps(epoch, epoch * self.steps_per_epoch + index + 1)

    def _between_steps(self, epoch: int, step: int) -> None:
        save = self._step_save_is_due(step)
        record = save or step % self.log.every_steps == 0
        # A record waits for the device. No rank does so before all have queued this step's work:
        # one that does not come is then missed by the control messages, which can name it.
        stop = self.agreement.now() if record else self.agreement.soon()
        if record or stop:
            self._record(epoch, step)
        if save or stop:
            self.skipped.collect(self.name, epoch, step)
            self._save(step)
        self._leave(stop, step)

    def _leave(self, stop: Stop, step: int) -> None:
        if stop:
            raise Interrupted(self.name, step, stop)

    def _step_save_is_due(self, step: int) -> bool:
        return self.every.every_steps is not None and step % self.every.every_steps == 0

    def _optimizer_step(self, batches: Iterator[Batch], epoch: int) -> None:
        phase = self.profiler.phase
        for _ in range(self.accumulation):
            with phase("data wait"):
                batch = next(batches)
            with phase("forward"):
                loss = self.task.loss(self.engine.forward, batch, epoch)
            self.window.add(loss, batch.sample_ids)
            with phase("backward"):
                self.engine.backward(loss)
            with phase("optimizer"):
                self.engine.update()
        if self.average:
            self.average.update()

    def _end_epoch(self, epoch: int, step: int) -> None:
        """To stop, time is short: the checkpoint comes first, and the validation on return."""
        stop = self.agreement.now()
        self._record(epoch, step)
        self.skipped.collect(self.name, epoch, step)
        if stop:
            self._save(step, looked_at=False)
        self._leave(stop, step)
        self._look_at(epoch, step)
        due = self._is_last(epoch) or (epoch + 1) % self.every.every_epochs == 0
        if due or self._step_save_is_due(step):
            self._save(step)

    def _is_last(self, epoch: int) -> bool:
        return epoch + 1 == self.stage.epochs

    def _look_at(self, epoch: int, step: int) -> None:
        """The validation and the pictures that are due at the end of `epoch`."""
        number, last = epoch + 1, self._is_last(epoch)
        if last or (self.log.eval_epochs and number % self.log.eval_epochs == 0):
            self.monitor.validation(self.name, epoch, step, self.task.validate())
        if last or (self.log.pictures_epochs and number % self.log.pictures_epochs == 0):
            self.task.picture(epoch)

    def _record(self, epoch: int, step: int) -> None:
        flushed = self.window.flush(f"stage {self.name}, epoch {epoch + 1}, step {step}")
        if flushed:
            self.monitor.step(self.name, epoch, step, self.engine.lr, *flushed)

    def _save(self, step: int, looked_at: bool = True) -> None:
        state = {
            "step": step,
            "seconds": self._seconds(),
            "average": self.average.state() if self.average else None,
            "skipped": self.skipped.ids,
            "looked_at": looked_at,
        }
        self.checkpoints.save(self.engine, step, state)
        self.window.restart_clock()
