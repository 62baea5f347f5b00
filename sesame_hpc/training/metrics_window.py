"""Metrics between two log records: mean loss, throughput, and an error for a non-finite loss."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.rendezvous import this_node
from sesame_hpc.distributed.world import World
from sesame_hpc.training.throughput import Throughput, peak_memory
from sesame_hpc.training.waiting import DataWait

__all__ = ["MetricsWindow"]


def _of_ranks(seconds: Sequence[float], nodes: Sequence[str]) -> dict[str, Any]:
    slowest = max(range(len(seconds)), key=seconds.__getitem__)
    return {
        "rank_seconds": [float(f"{each:.4g}") for each in seconds],
        "slowest_rank": slowest,
        "slowest_node": nodes[slowest],
    }


class MetricsWindow:
    """Collects losses on the device; reads them only when `flush` is called.

    `images_at_full_rate` is how many images per second one rank would train if it computed the
    network's FLOPs at the rate of a matrix product (see `Throughput.mfu`).
    """

    def __init__(self, world: World, images_at_full_rate: float) -> None:
        self._world = world
        self._full_rate = images_at_full_rate * world.size
        self._wait = DataWait(world.device)
        self._losses: list[Tensor] = []
        self._ids: list[Tensor] = []
        self._images = 0
        self._start = time.perf_counter()

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; measures how long the device waits for them."""
        return self._wait.watch(batches)

    def add(self, loss: Tensor, sample_ids: Tensor) -> None:
        """Record one micro-step: a scalar loss on the device, and its sample ids on the CPU."""
        self._wait.end_forward()
        self._losses.append(loss.detach())
        self._ids.append(sample_ids)
        self._images += len(sample_ids)

    def flush(self, where: str) -> tuple[float, Throughput] | None:
        """Mean loss over ranks and steps, and the throughput of all ranks; None if empty.

        Collective. Raises FloatingPointError on every rank where any loss is not finite, naming
        `where` and the sample ids of the first such micro-step.
        """
        if not self._losses:
            return None
        losses = torch.stack(self._losses).float().cpu()
        seconds = time.perf_counter() - self._start
        bad = (~torch.isfinite(losses)).nonzero()
        culprits = self._ids[int(bad[0])].tolist() if len(bad) else []
        mine = (float(losses.mean()), self._images, self._wait.take() / seconds, culprits)
        own = (self._wait.take_forwards(), this_node())
        reports = self._world.gather((*mine, peak_memory(self._world.device), *own))
        means, images, waits, bad_ids, peaks, forwards, nodes = zip(*reports, strict=True)
        if named := sorted(sample for ids in bad_ids for sample in ids):
            raise FloatingPointError(
                f"the loss is not finite at {where}; the batch held sample ids {named}. "
                "Earlier checkpoints are kept."
            )
        self._losses, self._ids, self._images = [], [], 0
        self._start = time.perf_counter()
        rate = sum(images) / seconds
        throughput = Throughput(
            images_per_second=rate,
            data_wait=math.fsum(waits) / len(waits),
            mfu=rate / self._full_rate,
            peak_memory_gib=max(peaks),
            **(_of_ranks(forwards, nodes) if len(reports) > 1 else {}),
        )
        return math.fsum(means) / len(means), throughput

    def restart_clock(self) -> None:
        """Exclude the time since the last flush (evaluation, checkpoint) from the rate."""
        self._start = time.perf_counter()
