"""Rank 0's output during training: the live display, metrics.jsonl and trackers."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from sesame_hpc.config import Config
from sesame_hpc.distributed.interruption import Interrupted
from sesame_hpc.distributed.world import World
from sesame_hpc.plural import counted
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.work import note_start
from sesame_hpc.tracking import Image, Status, Trackers
from sesame_hpc.training.display import Display
from sesame_hpc.training.records import MetricsLog
from sesame_hpc.training.throughput import Throughput

__all__ = ["Monitor"]


class Monitor:
    """Shows and records; does nothing on ranks other than 0. A context manager.

    Epochs count from 0 here, and from 1 in the display and the records.
    """

    def __init__(self, config: Config, folder: RunFolder, world: World, console: Console) -> None:
        self._console, self._world, self._metrics = console, world, folder.metrics_file
        self._display = Display(config.stages.run, console, enabled=world.is_main)
        self._log: MetricsLog | None = None
        self._trackers: Trackers | None = None
        if world.is_main:
            self._log = MetricsLog(self._metrics)
            self._trackers = Trackers(config, folder, self.message)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._trackers:
            self._trackers.close(_status(error))
        self._display.close()
        if self._log:
            self._log.close()

    def expect(self, epochs: Mapping[str, int]) -> None:
        """The stages that are to be trained, in order, with their epochs."""
        self._display.expect(epochs)

    def start(self, stage: str, epochs: int, steps_per_epoch: int, first_step: int) -> None:
        """Start a stage, or resume it at `first_step`, dropping the records after that step.

        What that loses is noted in work.jsonl.
        """
        self._display.stage(stage, epochs, steps_per_epoch, first_step)
        if self._log:
            earlier = [each for each in MetricsLog.read(self._metrics) if each["stage"] == stage]
            size = self._world.size
            gpus = size if self._world.device.type == "cuda" else 0
            note_start(self._metrics.parent, stage, first_step, size, gpus, earlier)
            self._log.truncate(stage, first_step)
        if self._trackers:
            self._trackers.rewind(stage, first_step)

    def step(
        self, stage: str, epoch: int, step: int, lr: float, loss: float, throughput: Throughput
    ) -> None:
        """The next learning rate; mean loss and throughput since the last record."""
        self._display.update(epoch, step, loss, lr, throughput)
        self._write(stage, epoch, step, {"loss": loss, "lr": lr} | throughput.to_record())

    def validation(self, stage: str, epoch: int, step: int, figures: dict[str, float]) -> None:
        """Held-out figures by name."""
        if "heldout_nme" in figures:
            self._display.heldout(figures["heldout_nme"])
        self._write(stage, epoch, step, figures)

    @property
    def wants_images(self) -> bool:
        """Whether anything takes the images of this rank."""
        return bool(self._trackers)

    def images(self, stage: str, step: int, images: Mapping[str, Image]) -> None:
        """Images by name, uint8 RGB [H, W, 3], for the trackers."""
        if self._trackers:
            for name, image in images.items():
                self._trackers.log_image(stage, name, image, step)

    def skipped(self, stage: str, epoch: int, step: int, new: list[int], total: int) -> None:
        """`new` sample ids that are skipped from now on; `total` is the stage's count so far."""
        faces = f"{counted(total, 'unreadable face')} skipped"
        self._display.message(f"{stage}: {faces}; new: {', '.join(map(str, new))}")
        self._write(stage, epoch, step, {"skipped": total})

    def error(self, stage: str, epoch: int, step: int, text: str) -> None:
        """Why the stage ended without success; until it resumes, status and report say it."""
        self._write(stage, epoch, step, {"error": text})
        self.sync()

    def note(self, stage: str, epoch: int, step: int, text: str) -> None:
        """What a reader of log, status and report should know of the stage, though it goes on."""
        self._display.message(f"{stage}: {text}")
        self._write(stage, epoch, step, {"note": text})

    def sync(self) -> None:
        """Put the records to disk: a checkpoint must not outlive those before it."""
        if self._log:
            self._log.sync()

    def adopt(self, stage: str, records: Sequence[dict[str, Any]]) -> None:
        """Records of another run's `stage`, as `MetricsLog.read` gives them, as this run's own."""
        if self._log:
            self._log.truncate(stage, 0)
            for record in records:
                self._log.append(**record)
                self._track(**record)

    def message(self, text: str) -> None:
        self._display.message(text)

    def show(self, draw: Callable[[Console], None]) -> None:
        """Let `draw` print above the live display."""
        draw(self._console)

    def _write(self, stage: str, epoch: int, step: int, figures: Mapping[str, Any]) -> None:
        if self._log:
            self._log.append(stage, epoch + 1, step, **figures)
        self._track(stage, step, **figures)

    def _track(self, stage: str, step: int, **figures: Any) -> None:
        if self._trackers:
            figures = {key: each for key, each in figures.items() if key not in ("epoch", "time")}
            self._trackers.log_metrics(stage, figures, step)


def _status(error: BaseException | None) -> Status:
    if error is None:
        return "finished"
    return "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
