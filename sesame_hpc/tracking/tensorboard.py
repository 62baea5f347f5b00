"""TensorBoard: event files in the run folder, below `tensorboard/`."""

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from sesame_hpc.run.folder import RunFolder
from sesame_hpc.tracking.tracker import Image, Status, TrackedRun

__all__ = ["TensorBoardTracker"]

_GOAL = "heldout_nme"
_MOST_SECONDS = 2.0


class TensorBoardTracker:
    """Each stage is a run of TensorBoard's, a folder of its name; hyper-parameters are above them.

    Their table has the last held-out NME beside them.
    """

    def __init__(self, settings: object = None) -> None:
        self._folder = Path()
        self._writers: dict[str, SummaryWriter] = {}
        self._purge_steps: dict[str, int] = {}
        self._goal: float | None = None

    def start(self, run: TrackedRun) -> str:
        self._folder = RunFolder(run.folder).tensorboard
        if run.run_id is None:
            writer: Any = self._writer(".").file_writer
            for summary in hparams(dict(run.params), {_GOAL: math.nan}):
                writer.add_summary(summary)
        return self._folder.name

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        for key, value in metrics.items():
            stage, _, name = key.partition("/")
            self._writer(stage).add_scalar(name, value, step)
            if name == _GOAL:
                self._goal = value

    def log_image(self, key: str, image: Image, step: int) -> None:
        stage, _, name = key.partition("/")
        self._writer(stage).add_image(name, image, step, dataformats="HWC")

    def rewind(self, stage: str, step: int) -> None:
        self._purge_steps[stage] = step + 1
        if writer := self._writers.pop(stage, None):
            writer.close()

    def finish(self, status: Status) -> None:
        if self._goal is not None:
            self._writer(".").add_scalar(_GOAL, self._goal)
        for writer in self._writers.values():
            writer.close()

    def _writer(self, stage: str) -> SummaryWriter:
        if stage not in self._writers:
            _wait_for_a_later_name(self._folder / stage)
            self._writers[stage] = SummaryWriter(
                str(self._folder / stage), purge_step=self._purge_steps.get(stage)
            )
        return self._writers[stage]


def _wait_for_a_later_name(folder: Path) -> None:
    """Until a new event file has a name behind those that are there, or two seconds at most.

    TensorBoard reads them in the order of their names, which begin with the second of their
    creation: what a resumed stage takes back, it must have read before.
    """
    names = (re.match(r"events\.out\.tfevents\.(\d+)\.", path.name) for path in folder.glob("*"))
    newest = max((int(name[1]) for name in names if name), default=0)
    end = time.monotonic() + _MOST_SECONDS
    while time.time() < newest + 1 and time.monotonic() < end:
        time.sleep(0.05)
