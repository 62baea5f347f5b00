"""Functions timed by turns, so that all meet the same machine, and their ratios round by round."""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmarks.kernels.harness import device_name, package_version

__all__ = ["Machine", "Timing", "machine", "timed"]

LEAST_ROUNDS = 10


@dataclass(frozen=True)
class Machine:
    """What a row was measured on."""

    device: str
    cpu: str
    threads: int
    torch: str
    triton: str
    deepspeed: str
    dali: str
    python: str


def machine(device: torch.device) -> Machine:
    return Machine(
        device=device_name(device),
        cpu=device_name(torch.device("cpu")),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        triton=package_version("triton"),
        deepspeed=package_version("deepspeed"),
        dali=package_version("nvidia-dali-cuda130") or package_version("nvidia-dali-cuda120"),
        python=platform.python_version(),
    )


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, and how often the reference's time, paired round by round."""

    median_ms: float
    p20_ms: float
    p80_ms: float
    ratio: float
    ratio_p20: float
    ratio_p80: float
    rounds: int


def timed(
    runs: Mapping[str, Callable[[], object]],
    reference: str,
    device: torch.device,
    seconds: float,
    calls: int,
    lead: int = 0,
) -> dict[str, Timing]:
    """Time `runs`, which are warm, by turns for `seconds` each; a turn is `calls` calls.

    `lead` calls come before the clock starts: they use up what was fetched between turns. The order
    changes from round to round, since the one before leaves its mark on caches.
    """
    spent: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    gc.collect()
    gc.disable()
    deadline = time.perf_counter() + seconds * len(runs)
    while len(spent[reference]) < LEAST_ROUNDS or time.perf_counter() < deadline:
        for name in names:
            spent[name].append(_turn(runs[name], device, calls, lead))
        names.append(names.pop(0))
    gc.enable()
    return {name: _timing(each, spent[reference]) for name, each in spent.items()}


def _turn(run: Callable[[], object], device: torch.device, calls: int, lead: int) -> float:
    for _ in range(lead):
        run()
    _await(device)
    start = time.perf_counter()
    for _ in range(calls):
        run()
    _await(device)
    return (time.perf_counter() - start) / calls * 1e3


def _await(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _timing(each: list[float], reference: list[float]) -> Timing:
    ratios = [mine / other for mine, other in zip(each, reference, strict=True)]
    return Timing(
        *(round(value, 3) for value in _quantiles(each)),
        *(round(value, 4) for value in _quantiles(ratios)),
        rounds=len(each),
    )


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    fifths = statistics.quantiles(values, n=5)
    return statistics.median(values), fifths[0], fifths[3]
