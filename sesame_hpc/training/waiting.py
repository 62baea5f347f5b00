"""How long the device is idle because the next batch is not ready, and how long a rank works before
it meets the others."""

import time
from collections.abc import Iterator

import torch

from sesame_hpc.data.loading.loader import Batch

__all__ = ["DataWait"]

Mark = float | torch.cuda.Event


class DataWait:
    """Measures the wait for each batch, without making the host wait.

    On CUDA it is the time between two events on the device: the end of one step's work and the
    arrival of the next batch. So a host that runs ahead of the device adds nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._spans: list[tuple[Mark, Mark]] = []
        self._forwards: list[tuple[Mark, Mark]] = []
        self._asked: Mark | None = None

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, measured."""
        while True:
            asked = self._asked = self._mark()
            batch = next(batches, None)
            if batch is None:
                return
            self._spans.append((asked, self._mark()))
            yield batch

    def take(self) -> float:
        """Seconds of waiting since the last call; on CUDA the device must be synchronized."""
        spans, self._spans = self._spans, []
        return sum(_seconds(asked, here) for asked, here in spans)

    def end_forward(self) -> None:
        """The forward pass of the last batch is queued; the ranks meet in what follows."""
        if self._asked is not None:
            self._forwards.append((self._asked, self._mark()))

    def take_forwards(self) -> float:
        """Mean seconds from asking for a batch to the end of its forward pass, since the last call.

        On CUDA the device must be synchronized. 0 where there was none.
        """
        spans, self._forwards = self._forwards, []
        return sum(_seconds(asked, here) for asked, here in spans) / max(1, len(spans))

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
