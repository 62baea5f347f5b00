"""Timing of one op by several providers, forward, backward and both."""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import islice, product

import torch
from torch import Tensor

from benchmarks.kernels.turns import quantiles, turns

__all__ = [
    "COMPILED",
    "DIRECTIONS",
    "Case",
    "Row",
    "device_name",
    "measure",
    "package_version",
]

COMPILED = "torch.compile"
DIRECTIONS = ("forward", "backward", "both")
_COPY_BYTES = 1 << 30

Provider = Callable[..., Tensor]


@dataclass(frozen=True)
class Case:
    """One op at one size. Providers map `inputs` to one tensor; the first `trained` are trained.

    `providers` begins with ours; those named in `equal` must give what ours gives, up to
    `tolerance`. `forward_bytes` and `backward_bytes` are what must move at the least.
    """

    op: str
    shape: str
    inputs: tuple[Tensor, ...]
    providers: Mapping[str, Provider]
    forward_bytes: int
    backward_bytes: int
    trained: int = 1
    equal: tuple[str, ...] = ()
    tolerance: float = 1e-5


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


def measure(op: str, index: int, case: Case, device: torch.device) -> Iterator[Row]:
    """Time every provider of the module `op`'s case `index`, which is `case`, in every direction.

    On the CPU providers take turns, to share disturbances, each in a process of its own, where it
    meets nothing of the memory that others had. What torch.compile made has its turn alone, since
    its threads, of another OpenMP, would hold the cores that others wait for.
    """
    _require_equal(case)
    if device.type == "cuda":
        copied = _copy_bandwidth()
        for direction, (name, provider) in product(DIRECTIONS, case.providers.items()):
            run = _run(case, provider, direction)
            yield _row(case, name, direction, _cuda_quantiles(run), run, copied)
        return
    for names in _groups(case):
        with turns({name: _Maker(op, index, name) for name in names}) as taking_turns:
            for direction in DIRECTIONS:
                for name, times in taking_turns.times(direction).items():
                    yield _row(case, name, direction, quantiles(times), None, None)


@dataclass(frozen=True)
class _Maker:
    """Makes a provider's runs, by direction, in another process."""

    op: str
    index: int
    provider: str
    threads: int = field(default_factory=torch.get_num_threads)

    def __call__(self) -> Callable[[str], Callable[[], object]]:
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        cases = import_module(f"benchmarks.kernels.ops.{self.op}").cases(torch.device("cpu"))
        case = next(islice(cases, self.index, None))
        return lambda direction: _run(case, case.providers[self.provider], direction)


def _groups(case: Case) -> list[list[str]]:
    others = [name for name in case.providers if name != COMPILED]
    return [others, [COMPILED]] if COMPILED in case.providers else [others]


def _require_equal(case: Case) -> None:
    with torch.no_grad():
        expected = next(iter(case.providers.values()))(*case.inputs).float()
        for name in case.equal:
            actual = case.providers[name](*case.inputs).float()
            error = (actual - expected).abs().max().item()
            if not error <= case.tolerance:
                raise ValueError(f"{case.op} {case.shape}: {name} differs from ours by {error}")


def _run(case: Case, provider: Provider, direction: str) -> Callable[[], object]:
    if direction == "forward":

        def forward() -> object:
            with torch.no_grad():
                return provider(*case.inputs)

        return forward

    trained = [tensor.detach().requires_grad_() for tensor in case.inputs[: case.trained]]
    others = case.inputs[case.trained :]
    result = provider(*trained, *others)
    grad = torch.ones_like(result)
    if direction == "backward":
        return lambda: torch.autograd.grad(result, trained, grad, retain_graph=True)
    return lambda: torch.autograd.grad(provider(*trained, *others), trained, grad)


def _row(
    case: Case,
    provider: str,
    direction: str,
    quantiles: tuple[float, float, float],
    cuda_run: Callable[[], object] | None,
    copied: float | None,
) -> Row:
    moved = {"forward": case.forward_bytes, "backward": case.backward_bytes}.get(
        direction, case.forward_bytes + case.backward_bytes
    )
    median, low, high = (round(value, 4) for value in quantiles)
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
        graph_ms=None if cuda_run is None else _graph_ms(cuda_run),
        peak_mb=None if cuda_run is None else _peak_mb(cuda_run),
        bytes=moved,
        copy_fraction=None if copied is None else round(moved / (median * 1e-3) / copied, 3),
        device=device_name(first.device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        triton=package_version("triton"),
    )


def _cuda_quantiles(run: Callable[[], object]) -> tuple[float, float, float]:
    from triton.testing import do_bench

    median, low, high = do_bench(run, quantiles=[0.5, 0.2, 0.8])
    return median, low, high


def _graph_ms(run: Callable[[], object]) -> float | None:
    """None where a provider cannot be captured."""
    from triton.testing import do_bench_cudagraph

    try:
        with torch.cuda.stream(torch.cuda.Stream()):
            return round(do_bench_cudagraph(run, return_mode="median"), 4)
    except RuntimeError:
        torch.cuda.synchronize()
        return None


def _peak_mb(run: Callable[[], object]) -> float:
    run()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return round((torch.cuda.max_memory_allocated() - before) / 1e6, 2)


def _copy_bandwidth() -> float:
    """Bytes a second (read and written) of a device-to-device copy."""
    source = torch.empty(_COPY_BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    return 2 * _COPY_BYTES / (_cuda_quantiles(lambda: target.copy_(source))[0] * 1e-3)


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as file:
            models = [line for line in file if line.startswith("model name")]
        return models[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
