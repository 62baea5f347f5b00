"""Metrics between two log records: losses, throughput, and an error for a non-finite loss."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.node_faults import this_node
from sesame_hpc.distributed.world import World
from sesame_hpc.training.divergence import Diverged
from sesame_hpc.training.throughput import Throughput, peak_memory
from sesame_hpc.training.waiting import DataWait

__all__ = ["MetricsWindow", "WindowMetrics"]


@dataclass(frozen=True)
class WindowMetrics:
    """`loss` is the mean over ranks and steps, `losses` that over ranks for each step."""

    loss: float
    losses: list[float]
    throughput: Throughput


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
    network's FLOPs at the rate of a matrix product (see `Throughput.mfu`). `accumulation`
    micro-steps make one optimizer step.
    """

    def __init__(self, world: World, images_at_full_rate: float, accumulation: int = 1) -> None:
        self._world = world
        self._accumulation = accumulation
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

    def flush(self, where: str, step: int) -> WindowMetrics | None:
        """What was collected up to optimizer step `step`, of all ranks; None if empty. Collective.

        Raises Diverged on every rank where any loss is not finite, naming `where`, the first such
        step, and its sample ids.
        """
        if not self._losses:
            return None
        losses = torch.stack(self._losses).float().cpu()
        seconds = time.perf_counter() - self._start
        by_step = losses.view(-1, self._accumulation)
        bad = (~torch.isfinite(by_step).all(dim=1)).nonzero()
        first, culprits = None, list[int]()
        if len(bad):
            first = step - len(by_step) + 1 + int(bad[0])
            start = int(bad[0]) * self._accumulation
            culprits = torch.cat(self._ids[start : start + self._accumulation]).tolist()
        mine = (float(losses.mean()), by_step.double().mean(dim=1).tolist(), self._images)
        waited, peak = self._wait.take() / seconds, peak_memory(self._world.device)
        own = (self._wait.take_forwards(), this_node())
        reports = self._world.gather((*mine, waited, peak, first, culprits, *own))
        means, each, images, waits, peaks, firsts, ids, forwards, nodes = zip(*reports, strict=True)
        self.clear()
        if found := [number for number in firsts if number is not None]:
            at = min(found)
            named = [
                n for number, own in zip(firsts, ids, strict=True) if number == at for n in own
            ]
            raise Diverged(
                f"the loss is not finite at {where}, step {at}; the batch held sample ids "
                f"{sorted(named)}",
                at,
            )
        rate = sum(images) / seconds
        throughput = Throughput(
            images_per_second=rate,
            data_wait=math.fsum(waits) / len(waits),
            mfu=rate / self._full_rate,
            peak_memory_gib=max(peaks),
            **(_of_ranks(forwards, nodes) if len(reports) > 1 else {}),
        )
        losses_of_steps = [math.fsum(ranks) / len(ranks) for ranks in zip(*each, strict=True)]
        return WindowMetrics(math.fsum(means) / len(means), losses_of_steps, throughput)

    def clear(self) -> None:
        """Forget what was collected, and start anew."""
        self._losses, self._ids, self._images = [], [], 0
        self._start = time.perf_counter()

    def restart_clock(self) -> None:
        """Exclude the time since the last flush (evaluation, checkpoint) from the rate."""
        self._start = time.perf_counter()
