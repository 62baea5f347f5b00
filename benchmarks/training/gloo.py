"""Hold the model of `benchmarks.training.scaling` against gloo ranks on this machine.

Latency and bandwidth are taken from two all-reduces on two ranks; the model then has to give the
time of the gradients' all-reduce, and of a step of the demo's network, on 1, 2 and 4 ranks.
"""

import os
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.training.scaling import Link, allreduce_seconds
from benchmarks.training.steps import Steps
from sesame_hpc.config import RuntimeConfig, find_config, load_config
from sesame_hpc.distributed.world import connect
from sesame_hpc.schemes import load_scheme

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

__all__ = ["Row", "main"]

SMALL, LARGE = 4_096, 4 * 2**20
"""Bytes of the two all-reduces that give latency and bandwidth."""

ROUNDS = 15
WARM_UP_ROUNDS = 2
BATCH = 32


@dataclass(frozen=True)
class Row:
    """Medians in milliseconds, with one thread per rank.

    `compute_ms` is a step without the all-reduce, on that many ranks at once; `modelled_step_ms`
    adds `modelled_allreduce_ms` to it.
    """

    ranks: int
    parameters: int
    allreduce_ms: float
    modelled_allreduce_ms: float
    compute_ms: float
    step_ms: float
    modelled_step_ms: float


@dataclass(frozen=True)
class Measured:
    """What rank 0 measured, in milliseconds; `small` and `large` are all-reduces of those sizes."""

    size: int
    allreduce: float
    small: float
    large: float
    compute: float
    step: float


def fitted_link(found: Measured) -> Link:
    """The link that gives both all-reduces of two ranks: t = size / bandwidth + 2 latency."""
    bandwidth = (LARGE - SMALL) / ((found.large - found.small) / 1e3)
    latency = max(0.0, found.small / 1e3 - SMALL / bandwidth) / 2
    return Link("gloo", bandwidth, latency)


def measure(ranks: int, rounds: int) -> Measured:
    """Start that many ranks, each in a process of its own; raises what one of them raised."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    results: SimpleQueue[Measured] = mp.get_context("spawn").SimpleQueue()
    mp.spawn(_rank, (ranks, port, rounds, results), ranks)
    return results.get()


def _rank(rank: int, ranks: int, port: int, rounds: int, results: "SimpleQueue[Measured]") -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    runtime = RuntimeConfig(device="cpu", threads=1)
    world = connect(runtime)
    config = load_config(find_config("demo"), ["data.root=."])
    maker = Steps(config, BATCH, runtime, world, load_scheme("wflw98"))
    size = 4 * sum(parameter.numel() for parameter in maker.network().parameters())
    trainer, plain = maker.trainer(), maker.plain()
    batch = Steps(config, BATCH // ranks, runtime, world, maker.scheme).fixed_batch()

    def milliseconds(run: Callable[[], object]) -> float:
        return _median(run, rounds)

    found = Measured(
        size=size,
        allreduce=milliseconds(_allreduce(size)),
        small=milliseconds(_allreduce(SMALL)),
        large=milliseconds(_allreduce(LARGE)),
        compute=milliseconds(lambda: plain(batch)),
        step=milliseconds(lambda: trainer(batch)),
    )
    if rank == 0:
        results.put(found)


def _allreduce(size: int) -> Callable[[], object]:
    tensor = torch.zeros(size // 4)
    return lambda: dist.all_reduce(tensor)


def _median(run: Callable[[], object], rounds: int) -> float:
    """Milliseconds; the ranks start each call together."""
    spent = []
    for _ in range(WARM_UP_ROUNDS + rounds):
        dist.barrier()
        start = time.perf_counter()
        run()
        spent.append(1e3 * (time.perf_counter() - start))
    return statistics.median(spent[WARM_UP_ROUNDS:])


def row(ranks: int, found: Measured, link: Link) -> Row:
    modelled = 1e3 * allreduce_seconds(link, ranks, found.size)
    return Row(
        ranks=ranks,
        parameters=found.size // 4,
        allreduce_ms=round(found.allreduce, 2),
        modelled_allreduce_ms=round(modelled, 2),
        compute_ms=round(found.compute, 2),
        step_ms=round(found.step, 2),
        modelled_step_ms=round(found.compute + modelled, 2),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.gloo", __doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"per figure; default: {ROUNDS}")
    parser.add_argument("--csv", type=Path, help="append the rows to this file")
    options = parser.parse_args(arguments)
    table = Table(options.csv, Row)
    measured = {ranks: measure(ranks, options.rounds) for ranks in (1, 2, 4)}
    link = fitted_link(measured[2])
    print(f"gloo here: {link.bandwidth / 1e9:.2f} GB/s, {link.latency * 1e6:.0f} us per hop")
    for ranks, found in measured.items():
        table.append(row(ranks, found, link))
        print(row(ranks, found, link))


if __name__ == "__main__":
    main()
