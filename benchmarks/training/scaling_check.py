"""The formula of `scaling.py` against gloo ranks on this machine."""

import os
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.common.table import Table
from benchmarks.training.scaling import Link, sum_seconds

__all__ = ["CheckRow", "check"]

SMALL, LARGE = 4_096, 4 * 2**20
"""Bytes from which latency and bandwidth are taken, on two ranks."""

ROUNDS = 15


@dataclass(frozen=True)
class CheckRow:
    """Medians in milliseconds, one thread a rank. `modelled_step_ms` is `alone_ms`, a step on that
    many ranks at once without the sum, plus `modelled_sum_ms`."""

    ranks: int
    parameters: int
    sum_ms: float
    modelled_sum_ms: float
    alone_ms: float
    step_ms: float
    modelled_step_ms: float


def check(csv: Path | None) -> None:
    measured = {ranks: _on(ranks) for ranks in (1, 2, 4)}
    link = _fit(measured[2])
    print(f"gloo here: {link.bandwidth / 1e9:.2f} GB/s, {link.latency * 1e6:.0f} us a hop")
    table = Table(csv, CheckRow)
    for ranks, found in measured.items():
        size = found["bytes"]
        modelled = 1e3 * sum_seconds(link, ranks, size)
        row = CheckRow(
            ranks=ranks,
            parameters=round(size / 4),
            sum_ms=round(found["sum"], 2),
            modelled_sum_ms=round(modelled, 2),
            alone_ms=round(found["alone"], 2),
            step_ms=round(found["step"], 2),
            modelled_step_ms=round(found["alone"] + modelled, 2),
        )
        table.append(row)
        print(row)


def _fit(found: dict[str, float]) -> Link:
    """From two sums on two ranks: t = size / bandwidth + 2 latency."""
    bandwidth = (LARGE - SMALL) / ((found["large"] - found["small"]) / 1e3)
    latency = max(0.0, found["small"] / 1e3 - SMALL / bandwidth) / 2
    return Link("gloo", bandwidth, latency)


def _on(ranks: int) -> dict[str, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    results: Queue[dict[str, float]] = context.SimpleQueue()  # type: ignore[assignment]
    processes = [
        context.Process(target=_rank, args=(rank, ranks, port, results)) for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    found = results.get()
    for process in processes:
        process.join()
    return found


def _rank(rank: int, ranks: int, port: int, results: "Queue[dict[str, float]]") -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    from benchmarks.training.steps import Steps
    from sesame_hpc.config import RuntimeConfig, find_config, load_config
    from sesame_hpc.distributed.world import connect
    from sesame_hpc.schemes import load_scheme

    runtime = RuntimeConfig(device="cpu", threads=1)
    world = connect(runtime)
    config = load_config(find_config("demo"), ["data.root=."])
    per_rank = 32 // ranks
    maker = Steps(config, 32, runtime, world, load_scheme("wflw98"))
    size = 4 * sum(parameter.numel() for parameter in maker.network().parameters())
    trainer, plain = maker.trainer(), maker.plain()
    batch = Steps(config, per_rank, runtime, world, maker.scheme).fixed_batch()
    found = {
        "bytes": float(size),
        "sum": _median(_sum(size)),
        "small": _median(_sum(SMALL)),
        "large": _median(_sum(LARGE)),
        "alone": _median(lambda: plain(batch)),
        "step": _median(lambda: trainer(batch)),
    }
    if rank == 0:
        results.put(found)


def _sum(size: int) -> Callable[[], object]:
    tensor = torch.zeros(size // 4)
    return lambda: dist.all_reduce(tensor)


def _median(run: Callable[[], object]) -> float:
    """Milliseconds, ranks starting together."""
    spent = []
    for _ in range(ROUNDS):
        dist.barrier()
        start = time.perf_counter()
        run()
        spent.append(1e3 * (time.perf_counter() - start))
    return statistics.median(spent[2:])
