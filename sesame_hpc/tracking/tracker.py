"""`Tracker`: what a class offers that takes a run's metrics and images somewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Image", "Param", "Status", "TrackedRun", "Tracker"]

Image = NDArray[np.uint8]
Param = str | int | float | bool
Status = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run.

    Attributes:
        name: of the run, for people.
        folder: the run folder; a tracker may keep files of its own in a folder there.
        run_id: what `Tracker.start` returned when the run first began; None then.
        params: every setting, by its dotted key (`stages.finetune.lr`).
    """

    name: str
    folder: Path
    run_id: str | None
    params: Mapping[str, Param]


class Tracker(Protocol):
    """A destination of metrics and images, made from its settings: `MyTracker(settings)`.

    All calls are of rank 0, in order, from one thread of their own, so that they may take their
    time: training does not wait, and what waits too long is dropped. An exception ends this tracker
    with a warning, and never the run. A class may have its settings in `Settings`, a subclass of
    `sesame_hpc.config.Strict`; without, it is made from one that has no fields.
    """

    def start(self, run: TrackedRun) -> str:
        """Begin the run, or continue `run.run_id`; an id by which a later process continues it."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Finite numbers by name, `STAGE/NAME`, after an optimizer step of that stage."""

    def log_image(self, key: str, image: Image, step: int) -> None:
        """`image` is RGB [H, W, 3]; `key` is `STAGE/NAME`."""

    def rewind(self, stage: str, step: int) -> None:
        """What was logged of `stage` after `step` is undone: training continues from there."""

    def finish(self, status: Status) -> None:
        """The process ends. A run that was interrupted is continued by another."""
