"""Alternatives timed in interleaved rounds, so that all of them meet the same machine.

Every round samples each alternative once, in a new random order, since each leaves its mark on
the caches that the next one finds. If the machine slows down for a while, it does so for all of
them, and the ratio of two times from the same round varies less than either.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

__all__ = ["Timing", "interleave", "quantiles", "time_interleaved"]

LEAST_ROUNDS = 10

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Timing:
    """Milliseconds per call, and their ratio to the reference's in the same round."""

    median_ms: float
    p20_ms: float
    p80_ms: float
    ratio: float
    ratio_p20: float
    ratio_p80: float
    rounds: int


def interleave(
    samplers: Mapping[str, Callable[[], Sample]],
    seconds: float = 0.0,
    least_rounds: int = LEAST_ROUNDS,
) -> dict[str, list[Sample]]:
    """Samples by name, one per round.

    Rounds go on for `seconds` per sampler in all, but there are at least `least_rounds`.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in samplers}
    order, shuffle = list(samplers), random.Random(0).shuffle
    deadline = time.perf_counter() + seconds * len(samplers)
    rounds = 0
    while rounds < least_rounds or time.perf_counter() < deadline:
        shuffle(order)
        for name in order:
            samples[name].append(samplers[name]())
        rounds += 1
    return samples


def time_interleaved(
    runs: Mapping[str, Callable[[], object]],
    reference: str,
    device: torch.device,
    *,
    seconds: float,
    calls: int,
    untimed_calls: int = 0,
    clock: Callable[[], float] | None = None,
) -> dict[str, Timing]:
    """Time `runs`, which are warm, in this process, for about `seconds` each.

    A sample is the mean of `calls` calls in a row. `untimed_calls` come before them and use up what
    was fetched ahead while the others ran. `clock` gives seconds: those that pass, or with
    `time.process_time` those of the processor, to which other processes add little.
    """

    def sampler(run: Callable[[], object]) -> Callable[[], float]:
        return lambda: _milliseconds(run, device, calls, untimed_calls, clock or time.perf_counter)

    with _no_garbage_collection():
        times = interleave({name: sampler(run) for name, run in runs.items()}, seconds)
    return {name: _timing(each, times[reference]) for name, each in times.items()}


def quantiles(values: list[float]) -> tuple[float, float, float]:
    """The median, the 20 % and the 80 % quantile."""
    fifths = statistics.quantiles(values, n=5)
    return statistics.median(values), fifths[0], fifths[3]


def _milliseconds(
    run: Callable[[], object],
    device: torch.device,
    calls: int,
    untimed_calls: int,
    clock: Callable[[], float],
) -> float:
    for _ in range(untimed_calls):
        run()
    _synchronize(device)
    start = clock()
    for _ in range(calls):
        run()
    _synchronize(device)
    return (clock() - start) / calls * 1e3


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _timing(each: list[float], reference: list[float]) -> Timing:
    ratios = [mine / other for mine, other in zip(each, reference, strict=True)]
    median, low, high = (round(value, 3) for value in quantiles(each))
    ratio, ratio_low, ratio_high = (round(value, 4) for value in quantiles(ratios))
    return Timing(median, low, high, ratio, ratio_low, ratio_high, rounds=len(each))
