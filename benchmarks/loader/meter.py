"""Rates in images per second, and the processor time that they take."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import torch

from benchmarks.common.interleaved_timer import interleave
from benchmarks.common.machine import dali_version, device_name, package_version
from benchmarks.common.table import Table
from benchmarks.loader.rows import Row

__all__ = ["BATCH", "Meter", "Run"]

BATCH = 32

Run = Callable[[], int]
"""Does some work and returns how many images that was."""


class Meter:
    """Measures functions that do the same work, prints their rows and keeps them.

    Args:
        device: cpu or cuda, where the work is done.
        workers: threads or processes that each of them uses.
        seconds: of a measurement.
        repeat: measurements of each function.
        table: is rewritten with all rows after each, so that an interrupted run leaves what it has.
    """

    def __init__(
        self, device: str, workers: int, seconds: float, repeat: int, table: Table[Row]
    ) -> None:
        self.device, self.workers, self._table = device, workers, table
        self._seconds, self._repeat = seconds, repeat
        self.rows: list[Row] = []

    def __call__(self, what: str, source: str, size: int, runs: Mapping[str, Run]) -> None:
        """Measure `runs`, by provider, in interleaved rounds, each once untimed before."""
        for run in runs.values():
            run()
        samplers = {name: partial(self._sample, run) for name, run in runs.items()}
        for provider, samples in interleave(samplers, least_rounds=self._repeat).items():
            self._add(what, provider, source, size, samples)

    def _sample(self, run: Run) -> tuple[float, float]:
        """Images per second, and processor seconds per image."""
        images, cpu, start = 0, _cpu_seconds(), time.perf_counter()
        while not images or time.perf_counter() - start < self._seconds:
            images += run()
        elapsed = time.perf_counter() - start
        return images / elapsed, (_cpu_seconds() - cpu) / images

    def _add(
        self, what: str, provider: str, source: str, size: int, samples: list[tuple[float, float]]
    ) -> None:
        rates = [rate for rate, _ in samples]
        row = Row(
            what=what,
            provider=provider,
            source=source,
            size=size,
            images_per_second=round(statistics.median(rates), 1),
            lowest=round(min(rates), 1),
            highest=round(max(rates), 1),
            cpu_ms=round(1e3 * statistics.median(cpu for _, cpu in samples), 4),
            workers=self.workers,
            batch=BATCH,
            device=device_name(torch.device(self.device)),
            cpu=device_name(torch.device("cpu")),
            cores=len(os.sched_getaffinity(0)),
            dali=dali_version(),
            opencv=cv2.__version__,
            torch=torch.__version__,
            albumentations=package_version("albumentations"),
            python=platform.python_version(),
        )
        self.rows.append(row)
        self._table.replace(self.rows)
        print(
            f"{what:9} {provider:34} {source:12} {size:4} {row.images_per_second:9.0f} images/s "
            f"[{row.lowest:.0f}, {row.highest:.0f}] {row.cpu_ms:8.3f} ms",
            flush=True,
        )


def _cpu_seconds() -> float:
    """Processor time of this process and its children that are alive."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(values[1]) == os.getpid():
            ticks += int(values[11]) + int(values[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
