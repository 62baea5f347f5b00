"""Callbacks: a user's own code that is told how a training run proceeds.

Callbacks watch; what a run learns does not depend on them. Each rank calls those that it was given,
all at the same moments and without gradients; random generators and the modes of the network
(train, eval) are put back afterwards. What they must leave alone: weights, optimizer, batches,
collectives of torch.distributed, and the files of the run folder (a file of their own beside them
is welcome).
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "Callback",
    "CallbackError",
    "Callbacks",
    "CheckpointSaved",
    "Event",
    "StageEnd",
    "StageStart",
    "StepEnd",
    "Validation",
]


@dataclass(frozen=True)
class Event:
    """What every event has.

    Attributes:
        stage: preliminary, pretrain or finetune.
        step: how many optimizer steps of the stage are done.
        rank: this process's number, from 0. Write files and print on rank 0 only.
    """

    stage: str
    step: int
    rank: int


@dataclass(frozen=True)
class StageStart(Event):
    """A stage begins, or is resumed at `step`; its checkpoint, if any, is loaded.

    Attributes:
        epochs: of the whole stage.
        steps: of the whole stage.
        network: the network that is trained, for reading.
    """

    epochs: int
    steps: int
    network: nn.Module


@dataclass(frozen=True)
class StepEnd(Event):
    """An optimizer step is done. Where a stage goes back (`divergence`), steps come again.

    Attributes:
        epoch: the epoch of the step, from 1.
        loss: the mean loss of this rank's faces in the step: a scalar on the device. Reading its
            value waits for the device, which slows a GPU down if it is done in every step.
        lr: the learning rate of the next step.
    """

    epoch: int
    loss: Tensor
    lr: float


@dataclass(frozen=True)
class Validation(Event):
    """The held-out faces were evaluated.

    Attributes:
        epoch: the epoch that ended, from 1.
        figures: by name, as {"heldout_nme": percent}; the same on every rank.
        network: the network that is trained, for reading.
    """

    epoch: int
    figures: dict[str, float]
    network: nn.Module


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A checkpoint is whole on disk.

    Attributes:
        path: its directory. Later checkpoints replace it (`checkpoint.keep`).
    """

    path: Path


@dataclass(frozen=True)
class StageEnd(Event):
    """A stage is finished, and its weights and result are on disk.

    Attributes:
        result: what `run.result(stage)` returns.
        network: the trained network, for reading.
    """

    result: dict[str, Any]
    network: nn.Module


class Callback:
    """Override the methods that you need; each rank calls those of its own callbacks.

    An exception on one rank ends the run on all, with a `CallbackError` there and `RankFailed` on
    the others. Earlier checkpoints stay, so the run can be resumed. A stage that was finished
    before, or taken from another run, has no events.
    """

    def on_stage_start(self, event: StageStart) -> None:
        """A stage begins or is resumed."""

    def on_step(self, event: StepEnd) -> None:
        """An optimizer step is done."""

    def on_validation(self, event: Validation) -> None:
        """The held-out faces were evaluated."""

    def on_checkpoint(self, event: CheckpointSaved) -> None:
        """A checkpoint is on disk."""

    def on_stage_end(self, event: StageEnd) -> None:
        """A stage is finished."""


class CallbackError(RuntimeError):
    """A callback failed: names it and the moment; the cause is the original exception."""


_METHODS = {
    StageStart: "on_stage_start",
    StepEnd: "on_step",
    Validation: "on_validation",
    CheckpointSaved: "on_checkpoint",
    StageEnd: "on_stage_end",
}


class Callbacks:
    """The callbacks of a run, on one rank.

    Raises:
        TypeError: one of them is not a `Callback`.
    """

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        for each in callbacks:
            if not isinstance(each, Callback):
                raise TypeError(f"callbacks: {each!r} is not an instance of a subclass of Callback")
        self._callbacks = tuple(callbacks)

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def call(self, event: Event) -> None:
        """Tell every callback of `event`. Raises CallbackError for an exception in one."""
        method = _METHODS[type(event)]
        for each in self._callbacks:
            with _untouched(getattr(event, "network", None)):
                try:
                    getattr(each, method)(event)
                except Exception as error:
                    what = f"{type(error).__name__}: {error}".removesuffix(": ")
                    raise CallbackError(
                        f"the callback {type(each).__qualname__}.{method} failed in stage "
                        f"{event.stage} at step {event.step}: {what}"
                    ) from error


@contextmanager
def _untouched(network: nn.Module | None) -> Iterator[None]:
    """Without gradients; random generators and modes are as before at the end."""
    modules = [] if network is None else list(network.modules())
    modes = [module.training for module in modules]
    python, array = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
