"""Where a training step's time goes: a table of phases and operators, and a torch profiler trace.

After a warm-up, some steps are timed phase by phase, with a wait for the device after each phase;
then some steps are traced without waiting. Neither changes what is computed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, record_function

from sesame_hpc.files import replacing

__all__ = ["PHASES", "NoProfiler", "StepProfiler"]

PHASES = ("data wait", "forward", "backward", "optimizer")
WARM_UP, TIMED, TRACED = 3, 5, 3
"""Optimizer steps of each kind."""

_OPERATORS = 8
Show = Callable[[Callable[[Console], None]], None]


class NoProfiler:
    """Does nothing."""

    def step(self) -> AbstractContextManager[None]:
        """Around each optimizer step."""
        return nullcontext()

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Around each part of a step, named in `PHASES`."""
        return nullcontext()


class StepProfiler(NoProfiler):
    """Profiles the first steps of `stage`; writes the trace to `path`, and shows the table.

    `path` ends in .json.gz, which chrome://tracing and Perfetto open.
    """

    def __init__(self, stage: str, path: Path, device: torch.device, show: Show) -> None:
        self._stage, self._path, self._device, self._show = stage, path, device, show
        self._steps = 0
        self._spent = dict.fromkeys((*PHASES, "other"), 0.0)
        self._trace: profile | None = None

    @contextmanager
    def step(self) -> Iterator[None]:
        self._steps += 1
        if self._is_timed():
            before = sum(self._spent.values())
            start = self._now()
            yield
            self._spent["other"] += self._now() - start - (sum(self._spent.values()) - before)
            return
        if self._steps == WARM_UP + TIMED + 1:
            self._trace = self._start_trace()
        yield
        if self._trace is not None and self._steps == WARM_UP + TIMED + TRACED:
            self._finish(self._trace)
            self._trace = None

    def phase(self, name: str) -> AbstractContextManager[None]:
        if self._is_timed():
            return self._timed(name)
        return nullcontext() if self._trace is None else record_function(name)

    def _is_timed(self) -> bool:
        return WARM_UP < self._steps <= WARM_UP + TIMED

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = self._now()
        yield
        self._spent[name] += self._now() - start

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _start_trace(self) -> profile:
        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        trace = profile(activities=activities)
        trace.start()
        return trace

    def _finish(self, trace: profile) -> None:
        self._now()
        trace.stop()
        with replacing(self._path) as partial:
            trace.export_chrome_trace(str(partial))
        phases, operators = self._phases(), self._operators(trace)
        self._show(lambda console: _print(console, phases, operators, self._path))

    def _phases(self) -> Table:
        table = _table(self._stage, "ms per step", "%")
        total = sum(self._spent.values())
        for name, seconds in [*self._spent.items(), ("all", total)]:
            share = 100 * seconds / total
            table.add_row(name, f"{1e3 * seconds / TIMED:.2f}", f"{share:.1f}")
        return table

    def _operators(self, trace: profile) -> Table:
        """The operators that took most time by themselves."""
        on_cuda = self._device.type == "cuda"
        attribute = "self_device_time_total" if on_cuda else "self_cpu_time_total"
        rows: list[tuple[float, Any]] = [
            (getattr(event, attribute) / 1e3, event)
            for event in trace.key_averages()
            if event.key not in PHASES
        ]
        total = sum(ms for ms, _ in rows)
        table = _table("operator", "calls per step", "ms per step", "%")
        for ms, event in sorted(rows, key=lambda row: -row[0])[:_OPERATORS]:
            calls = f"{event.count / TRACED:.0f}"
            table.add_row(event.key, calls, f"{ms / TRACED:.2f}", f"{100 * ms / total:.1f}")
        return table


def _print(console: Console, phases: Table, operators: Table, trace: Path) -> None:
    console.print(phases, operators)
    console.print(f"Trace: {trace}", markup=False, highlight=False, soft_wrap=True)


def _table(first: str, *headings: str) -> Table:
    table = Table(first, box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].max_width, table.columns[0].no_wrap = 44, True
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
