"""Before a stage: how fast each rank computes and talks to the others, and which rank is slow.

A node with a GPU at half its clock or a bad link does not fail; it makes every step of all ranks
slow, and no log says why.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
import torch.distributed as dist

from sesame_hpc.distributed.node_faults import this_node
from sesame_hpc.distributed.world import World

__all__ = ["RankHealth", "SlowRank", "measure_health", "slow_ranks"]

_TRIES = 10
_SIDE = {"cpu": 512, "cuda": 4096}
_BYTES = {"cpu": 2**22, "cuda": 2**26}
_SLOW = 0.5
"""A rank below this share of the median is slow."""


@dataclass(frozen=True)
class RankHealth:
    """The best of ten: `tflops` of a float32 matrix product, in 1e12 operations per second, and
    `gigabytes_per_second` of an all-reduce: its bytes over the seconds until this rank had it."""

    rank: int
    node: str
    tflops: float
    gigabytes_per_second: float


def measure_health(world: World) -> list[RankHealth]:
    """Every rank's, on every rank. Collective; draws no random numbers."""
    kind = world.device.type
    side, count = _SIDE[kind], _BYTES[kind] // 4
    matrix = torch.full((side, side), 1 / side, device=world.device)
    message = torch.zeros(count, device=world.device)

    def multiply() -> None:
        torch.mm(matrix, matrix)

    def reduce() -> None:
        if world.size > 1:
            dist.all_reduce(message)

    compute, talk = (_best_seconds(world, action) for action in (multiply, reduce))
    node = this_node()
    own = RankHealth(world.rank, node, 2 * side**3 / compute / 1e12, 4 * count / talk / 1e9)
    healths: list[RankHealth] = world.gather(own)
    return healths


def _best_seconds(world: World, action: Callable[[], None]) -> float:
    seconds = []
    for _ in range(1 + _TRIES):
        world.barrier()
        start = time.perf_counter()
        action()
        if world.device.type == "cuda":
            torch.cuda.synchronize(world.device)
        seconds.append(time.perf_counter() - start)
    return max(min(seconds[1:]), 1e-9)  # the first also loads libraries


@dataclass(frozen=True)
class SlowRank:
    """A rank on `node` that is too slow, and the sentence that says how slow."""

    node: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def slow_ranks(healths: Sequence[RankHealth]) -> list[SlowRank]:
    """The ranks that are below half the median of all ranks."""
    found = []
    for name, what, unit in (
        ("tflops", "multiplies matrices", "TFLOP/s"),
        ("gigabytes_per_second", "exchanges data", "GB/s"),
    ):
        middle = median(getattr(health, name) for health in healths)
        found += [
            SlowRank(
                health.node,
                f"rank {health.rank} on {health.node} {what} at {getattr(health, name):.3g} "
                f"{unit}, the median rank at {middle:.3g}",
            )
            for health in healths
            if getattr(health, name) < _SLOW * middle
        ]
    return found
