"""Timing of one op by several providers, forward, backward and both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, product

import torch

from benchmarks.common.interleaved_timer import interleave, quantiles
from benchmarks.common.machine import device_name, package_version
from benchmarks.kernels.case import COMPILED, DIRECTIONS, Case, cases, runner
from benchmarks.kernels.cuda import copy_bandwidth, cuda_quantiles, graph_ms, peak_mb
from benchmarks.kernels.isolation import isolated

__all__ = ["Row", "measure", "with_peers_that_run"]


@dataclass(frozen=True)
class Row:
    """Times in milliseconds; `graph_ms` is a replay of a CUDA graph, `peak_mb` what a call adds."""

    op: str
    shape: str
    dtype: str
    provider: str
    direction: str
    median_ms: float
    p20_ms: float
    p80_ms: float
    graph_ms: float | None
    peak_mb: float | None
    bytes: int
    copy_fraction: float | None
    device: str
    threads: int
    torch: str
    triton: str


def measure(op: str, index: int, case: Case, device: torch.device, seconds: float) -> Iterator[Row]:
    """Time every provider of `op`'s case `index`, which is `case`, in every direction.

    On the CPU, providers run interleaved for `seconds` each, every one in a process of its own.
    What torch.compile made runs apart from the others, since the threads of its own OpenMP would
    occupy the cores that the others wait for. On a GPU Triton's `do_bench` sets the time.
    """
    if device.type == "cuda":  # on the CPU no provider may run in this process
        case = with_peers_that_run(case)
    _require_equal(case)
    if device.type == "cuda":
        copied = copy_bandwidth()
        for direction, name in product(DIRECTIONS, case.providers):
            make = partial(runner, case, name, direction)
            yield _row(case, name, direction, cuda_quantiles(make()), make, copied)
        return
    for names in _groups(case):
        with isolated({name: _Maker(op, index, name) for name in names}) as providers:
            for direction in DIRECTIONS:
                times = interleave(providers.samplers(direction), seconds)
                for name in names:
                    yield _row(case, name, direction, quantiles(times[name]), None, None)


@dataclass(frozen=True)
class _Maker:
    """Makes what a provider runs, in another process."""

    op: str
    index: int
    provider: str
    threads: int = field(default_factory=torch.get_num_threads)

    def __call__(self) -> Callable[[str], Callable[[], object]]:
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        case = next(islice(cases(self.op, torch.device("cpu")), self.index, None))
        return lambda direction: runner(case, self.provider, direction)


def _groups(case: Case) -> list[list[str]]:
    others = [name for name in case.providers if name != COMPILED]
    return [others, [COMPILED]] if COMPILED in case.providers else [others]


def with_peers_that_run(case: Case) -> Case:
    """Without the peers that raise, such as one whose library refuses so many matrices."""
    able = {}
    for name, provider in case.providers.items():
        try:
            with torch.no_grad():
                provider(*case.inputs)
        except RuntimeError as error:
            if name == "ours":
                raise
            print(f"{case.op} {case.shape}: {name} is left out: {str(error).splitlines()[0]}")
        else:
            able[name] = provider
    return replace(case, providers=able, equal=tuple(name for name in case.equal if name in able))


def _require_equal(case: Case) -> None:
    with torch.no_grad():
        expected = next(iter(case.providers.values()))(*case.inputs).float()
        for name in case.equal:
            actual = case.providers[name](*case.inputs).float()
            error = (actual - expected).abs().max().item()
            if not error <= case.tolerance:
                raise ValueError(f"{case.op} {case.shape}: {name} differs from ours by {error}")


def _row(
    case: Case,
    provider: str,
    direction: str,
    quantiles_ms: tuple[float, float, float],
    cuda_make: Callable[[], Callable[[], object]] | None,
    copied: float | None,
) -> Row:
    moved = {"forward": case.forward_bytes, "backward": case.backward_bytes}.get(
        direction, case.forward_bytes + case.backward_bytes
    )
    median, low, high = (round(value, 4) for value in quantiles_ms)
    first = case.inputs[0]
    return Row(
        op=case.op,
        shape=case.shape,
        dtype=str(first.dtype).removeprefix("torch."),
        provider=provider,
        direction=direction,
        median_ms=median,
        p20_ms=low,
        p80_ms=high,
        graph_ms=None if cuda_make is None else graph_ms(cuda_make),
        peak_mb=None if cuda_make is None else peak_mb(cuda_make()),
        bytes=moved,
        copy_fraction=None if copied is None else round(moved / (median * 1e-3) / copied, 3),
        device=device_name(first.device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        triton=package_version("triton"),
    )
