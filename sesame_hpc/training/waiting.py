"""How long the device had nothing to do because the next batch was not there."""

import time
from collections.abc import Iterator

import torch

from sesame_hpc.data.loading.loader import Batch

__all__ = ["DataWait"]

Mark = float | torch.cuda.Event


class DataWait:
    """Watches batches being taken; the host waits for nothing on account of it.

    On CUDA it is the time, by the device's own clock, between the end of one step's work and the
    arrival of the next batch: a host that runs ahead of the device does not make it wait.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._spans: list[tuple[Mark, Mark]] = []

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches."""
        while True:
            asked = self._mark()
            batch = next(batches, None)
            if batch is None:
                return
            self._spans.append((asked, self._mark()))
            yield batch

    def take(self) -> float:
        """Seconds since the last call; on CUDA the device must have done what it was given."""
        spans, self._spans = self._spans, []
        return sum(_seconds(asked, here) for asked, here in spans)

    def _mark(self) -> Mark:
        if not self._on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _seconds(start: Mark, end: Mark) -> float:
    if isinstance(start, float) or isinstance(end, float):
        assert isinstance(start, float)
        assert isinstance(end, float)
        return end - start
    return float(start.elapsed_time(end)) / 1e3
