"""The live display of a run: bars on a terminal, plain lines in a log file."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sesame_hpc.console import SafeConsole
from sesame_hpc.plural import counted
from sesame_hpc.training.throughput import Throughput

__all__ = ["Display"]

_BETWEEN_EPOCH_LINES = 5.0
_BETWEEN_STEP_LINES = 30.0


@dataclass
class _Stage:
    name: str
    epochs: int = 0
    steps_per_epoch: int = 0
    first_step: int = 0
    step: int = 0
    started: float = 0.0
    seconds: float = 0.0
    loss: float | None = None
    nme: float | None = None

    @property
    def total(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """The epoch under way, from 1, with the step that was just taken."""
        return max(1, -(-self.step // self.steps_per_epoch)) if self.steps_per_epoch else 0

    @property
    def remaining(self) -> float | None:
        """Seconds, at the rate since this process started the stage."""
        taken = self.step - self.first_step
        return self.seconds / taken * (self.total - self.step) if taken > 0 else None


class Display:
    """Shows the stages of a run; a context manager. Only rank 0 should have it `enabled`.

    On a terminal it is a live table. Elsewhere a line is written at the end of each epoch (at most
    every few seconds), every half minute within long epochs, and for each held-out NME. `clock`
    returns monotonic seconds.
    """

    def __init__(
        self,
        stages: Sequence[str],
        console: Console | None = None,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = {name: _Stage(name) for name in stages}
        self._current: _Stage | None = None
        self._epochs_to_come: dict[str, int] = {}
        self._console = console or SafeConsole(highlight=False)
        self._clock = clock
        self._last_line = clock()
        self._rates = self._machine = ""
        self._plain = enabled and not self._console.is_terminal
        self._live: Live | None = None
        if enabled and self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=4,
                redirect_stdout=True,
                redirect_stderr=True,
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def expect(self, epochs: Mapping[str, int]) -> None:
        """The stages that this process will train, in order, with their epochs: for the ETA."""
        self._epochs_to_come = dict(epochs)

    def stage(self, name: str, epochs: int, steps_per_epoch: int, first_step: int = 0) -> None:
        """Start a stage of `epochs` x `steps_per_epoch` steps; it resumes at `first_step`."""
        self._rates = self._machine = ""
        self._epochs_to_come.pop(name, None)
        self._current = self._stages[name] = _Stage(
            name, epochs, steps_per_epoch, first_step, first_step, started=self._clock()
        )
        if self._plain:
            resumed = f", from step {first_step}" if first_step else ""
            length = f"{counted(epochs, 'epoch')} of {counted(steps_per_epoch, 'step')}"
            self._line(f"{name}: {length}{resumed}")

    def update(self, epoch: int, step: int, loss: float, lr: float, throughput: Throughput) -> None:
        """After a step. `epoch` counts from 0; `step` is the number of the stage's steps done."""
        stage = self._running()
        stage.step, stage.loss = step, loss
        stage.seconds = self._clock() - stage.started
        self._rates = f"loss {loss:.5f}  lr {lr:.1e}  {throughput.images_per_second:.0f} images/s"
        self._machine = _of_the_machine(throughput)
        if self._plain and self._line_is_due(stage):
            position = f"{stage.name}  epoch {epoch + 1}/{stage.epochs}"
            self._line(f"{position}  {self._rates}  {self._eta(stage)}")
            if stage.step == stage.total:
                self._line(f"{stage.name}  {self._machine}")

    def heldout(self, nme: float) -> None:
        """The NME on the held-out faces, in percent."""
        stage = self._running()
        stage.nme = nme
        if self._plain:
            self._line(
                f"{stage.name}  epoch {stage.epoch}/{stage.epochs}  held-out NME {nme:.2f} %"
            )

    def message(self, text: str) -> None:
        """Print a line of text, above the table."""
        if self._live or self._plain:
            self._line(text)

    def close(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _eta(self, stage: _Stage) -> str:
        """Of the stage, and of all that follow it at the same pace per epoch."""
        own, taken = stage.remaining, stage.step - stage.first_step
        eta = f"ETA {_duration(own)}"
        if own is None or not self._epochs_to_come:
            return eta
        per_epoch = stage.seconds / taken * stage.steps_per_epoch
        return f"{eta}, all {_duration(own + per_epoch * sum(self._epochs_to_come.values()))}"

    def _running(self) -> _Stage:
        assert self._current is not None, "stage() comes first"
        return self._current

    def _line_is_due(self, stage: _Stage) -> bool:
        waited = self._clock() - self._last_line
        if stage.step == stage.total:
            return True
        if stage.step % stage.steps_per_epoch == 0:
            return waited >= _BETWEEN_EPOCH_LINES
        return waited >= _BETWEEN_STEP_LINES

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
        self._last_line = self._clock()

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=False)
        for justify in ("left", "left", "right", "right", "right"):
            table.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]
        idle = "waiting" if self._current is None else "finished"
        for stage in self._stages.values():
            table.add_row(*_row(stage, stage is self._current, idle))
            if stage is self._current:
                idle = "waiting"
        footer = (Text(line, overflow="ellipsis", no_wrap=True) for line in self._footer())
        return Group(table, *footer)

    def _footer(self) -> tuple[str, ...]:
        if self._current is None or not self._rates:
            return ("",)
        return f"{self._rates}  {self._eta(self._current)}", self._machine


def _row(stage: _Stage, current: bool, idle: str) -> tuple[RenderableType, ...]:
    """One stage; `idle` is the text for a stage that has not run in this process."""
    if not stage.total:
        return Text(stage.name, style="dim"), Text(idle, style="dim"), "", "", ""
    return (
        Text(stage.name, style="bold" if current else ""),
        ProgressBar(total=stage.total, completed=stage.step, width=20),
        f"epoch {stage.epoch}/{stage.epochs}",
        _duration(stage.seconds),
        "" if stage.nme is None else f"NME {stage.nme:.2f} %",
    )


def _of_the_machine(throughput: Throughput) -> str:
    wait, mfu, peak = throughput.data_wait, throughput.mfu, throughput.peak_memory_gib
    return f"data wait {100 * wait:.0f} %, MFU {100 * mfu:.0f} %, peak {peak:.1f} GiB"


def _duration(seconds: float | None) -> str:
    """3725 -> "1:02:05"; None -> "-"."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
