"""Timing of one op by several providers: ours, plain PyTorch, and the same compiled."""

import platform
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

__all__ = ["Case", "Row", "device_name", "measure", "package_version"]

_BUDGET_SECONDS = 1.0
_COPY_BYTES = 1 << 30


@dataclass(frozen=True)
class Case:
    """One op at one size. `ours` and `eager` map `inputs` to a tensor; the first input is trained.

    `forward_bytes` and `backward_bytes` are what must move at the least.
    """

    op: str
    shape: str
    inputs: tuple[Tensor, ...]
    ours: Callable[..., Tensor]
    eager: Callable[..., Tensor]
    forward_bytes: int
    backward_bytes: int


@dataclass(frozen=True)
class Row:
    op: str
    shape: str
    dtype: str
    provider: str
    direction: str
    median_ms: float
    p20_ms: float
    p80_ms: float
    bytes: int
    copy_fraction: float | None
    device: str
    threads: int
    torch: str
    triton: str


def measure(case: Case, device: torch.device) -> Iterator[Row]:
    """Time every provider forward, then forward and backward."""
    copied = _copy_bandwidth() if device.type == "cuda" else None
    for provider, function in _providers(case, device):
        yield _row(case, provider, "forward", _forward(case, function), case.forward_bytes, copied)
        moved = case.forward_bytes + case.backward_bytes
        step = _forward_backward(case, function)
        yield _row(case, provider, "forward+backward", step, moved, copied)


def _providers(case: Case, device: torch.device) -> Iterator[tuple[str, Callable[..., Tensor]]]:
    yield "ours", case.ours
    yield "eager", case.eager
    if device.type == "cuda" or shutil.which("c++"):
        yield "torch.compile", torch.compile(case.eager)


def _forward(case: Case, function: Callable[..., Tensor]) -> Callable[[], object]:
    def run() -> Tensor:
        with torch.no_grad():
            return function(*case.inputs)

    return run


def _forward_backward(case: Case, function: Callable[..., Tensor]) -> Callable[[], object]:
    trained = case.inputs[0].detach().requires_grad_()
    grad = torch.ones_like(case.ours(*case.inputs))

    def run() -> object:
        result = function(trained, *case.inputs[1:])
        return torch.autograd.grad(result, trained, grad.to(result.dtype))

    return run


def _row(
    case: Case,
    provider: str,
    direction: str,
    run: Callable[[], object],
    moved: int,
    copied: float | None,
) -> Row:
    first = case.inputs[0]
    median, low, high = (_cuda_quantiles if first.is_cuda else _cpu_quantiles)(run)
    return Row(
        op=case.op,
        shape=case.shape,
        dtype=str(first.dtype).removeprefix("torch."),
        provider=provider,
        direction=direction,
        median_ms=round(median, 4),
        p20_ms=round(low, 4),
        p80_ms=round(high, 4),
        bytes=moved,
        copy_fraction=None if copied is None else round(moved / (median * 1e-3) / copied, 3),
        device=device_name(first.device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        triton=package_version("triton"),
    )


def _cpu_quantiles(run: Callable[[], object]) -> tuple[float, float, float]:
    for _ in range(3):
        run()
    times: list[float] = []
    deadline = time.perf_counter() + _BUDGET_SECONDS
    while len(times) < 10 or time.perf_counter() < deadline:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    fifths = statistics.quantiles(times, n=5)
    return statistics.median(times), fifths[0], fifths[3]


def _cuda_quantiles(run: Callable[[], object]) -> tuple[float, float, float]:
    from triton.testing import do_bench

    median, low, high = do_bench(run, quantiles=[0.5, 0.2, 0.8])
    return median, low, high


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
