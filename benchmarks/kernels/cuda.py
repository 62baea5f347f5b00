"""What only a GPU tells: Triton's timings, replays of a CUDA graph, memory, copy bandwidth."""

from collections.abc import Callable

import torch

__all__ = ["copy_bandwidth", "cuda_quantiles", "graph_ms", "peak_mb"]

_COPY_BYTES = 1 << 30


def cuda_quantiles(run: Callable[[], object]) -> tuple[float, float, float]:
    """The median, the 20 % and the 80 % quantile of `run`, in milliseconds."""
    from triton.testing import do_bench

    median, low, high = do_bench(run, quantiles=[0.5, 0.2, 0.8])
    return median, low, high


def graph_ms(make: Callable[[], Callable[[], object]]) -> float | None:
    """Median milliseconds of a replay of what `make` returns; None where it cannot be captured.

    It is made on the stream that captures: autograd runs backward on the stream of forward.
    """
    from triton.testing import do_bench_cudagraph

    try:
        with torch.cuda.stream(torch.cuda.Stream()):
            return round(do_bench_cudagraph(make(), return_mode="median"), 4)
    except RuntimeError:
        torch.cuda.synchronize()
        return None


def peak_mb(run: Callable[[], object]) -> float:
    """What a call allocates at its peak beyond what was allocated before, in MB."""
    run()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return round((torch.cuda.max_memory_allocated() - before) / 1e6, 2)


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of a copy within the device's memory."""
    source = torch.empty(_COPY_BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    return 2 * _COPY_BYTES / (cuda_quantiles(lambda: target.copy_(source))[0] * 1e-3)
