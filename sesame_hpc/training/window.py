"""Losses between two log records: mean, image rate, and the stop on one that is no number."""

import math
import time

import torch
from torch import Tensor

from sesame_hpc.training.distributed import World

__all__ = ["LossWindow"]


class LossWindow:
    """Collects losses on the device; looks at them only when `flush` is called."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._losses: list[Tensor] = []
        self._ids: list[Tensor] = []
        self._images = 0
        self._start = time.perf_counter()

    def add(self, loss: Tensor, sample_ids: Tensor) -> None:
        """Record one micro-step: a scalar loss on the device, and its sample ids on the CPU."""
        self._losses.append(loss.detach())
        self._ids.append(sample_ids)
        self._images += len(sample_ids)

    def flush(self, where: str) -> tuple[float, float] | None:
        """Mean loss over ranks and steps, and images per second over all ranks; None if empty.

        Collective. Raises FloatingPointError on every rank where any loss is not finite, naming
        `where` and the sample ids of the first such micro-step.
        """
        if not self._losses:
            return None
        losses = torch.stack(self._losses).float().cpu()
        seconds = time.perf_counter() - self._start
        bad = (~torch.isfinite(losses)).nonzero()
        culprits = self._ids[int(bad[0])].tolist() if len(bad) else []
        reports = self._world.gather((float(losses.mean()), self._images, culprits))
        named = sorted(sample for _, _, ids in reports for sample in ids)
        if named:
            raise FloatingPointError(
                f"the loss is not finite at {where}; the batch held sample ids {named}. "
                "No checkpoint was written since the last good one."
            )
        images = sum(count for _, count, _ in reports)
        self._losses, self._ids, self._images = [], [], 0
        self._start = time.perf_counter()
        mean = math.fsum(value for value, _, _ in reports) / len(reports)
        return mean, images / seconds

    def restart_clock(self) -> None:
        """Leave what happened since the last flush (evaluation, checkpoint) out of the rate."""
        self._start = time.perf_counter()
