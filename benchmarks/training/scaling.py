"""Data-parallel training on paper: `python -m benchmarks.training.scaling [--step-ms MS] [--batch B]`.

A step on N ranks is a rank's own step, and the sum of all gradients, 4 bytes a parameter. The sum
is a ring (2 (N - 1) / N of the bytes, 2 (N - 1) hops) or a double tree (twice the bytes, 2 log2 N
hops), whichever is quicker, as NCCL chooses. A ring enters and leaves each node once, so that its
bandwidth is that of the slower one of the links within and between nodes. The sum comes after the
backward pass, as with ZeRO 0, or beside it, all but the last bucket.

`--check` measures gloo on this machine instead, and holds the formula against it.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.table import Table

__all__ = ["Link", "Row", "efficiency", "main", "sum_seconds"]

PARAMETERS = 13_005_576
BYTES = 4 * PARAMETERS
BACKWARD_SHARE = 2 / 3
"""Of a step's time, as of its operations."""

BUCKET_BYTES = 25 * 2**20
GPUS_A_NODE = 8


@dataclass(frozen=True)
class Link:
    """Bytes a second of a ring through it, in one direction, and seconds of a hop."""

    name: str
    bandwidth: float
    latency: float
    source: str = ""


def _wire(gigabits: float) -> float:
    """Bytes a second of collectives on wires of a line rate: nine tenths of it."""
    return 0.9 * gigabits * 1e9 / 8


WITHIN = Link(
    "NVLink 4",
    0.8 * 450e9,
    2e-6,
    "H100 and H200 datasheets: 450 GB/s in each direction, of which 0.8 are counted on here; "
    "saturncloud.io/blog/crusoe-nccl-cluster-validation sees 400 to 450 of nccl-tests",
)
BETWEEN = (
    Link(
        "InfiniBand NDR, 8 cards a node",
        _wire(8 * 400),
        5e-6,
        "DGX H100 user guide: 8 ConnectX-7 of 400 Gb/s",
    ),
    Link("InfiniBand HDR, 1 card a node", _wire(200), 5e-6, "ConnectX-6: 200 Gb/s"),
    Link("Ethernet 100 Gb/s a node", _wire(100), 25e-6, "IEEE 802.3ba"),
    Link("Ethernet 25 Gb/s a node", _wire(25), 25e-6, "IEEE 802.3by"),
)


@dataclass(frozen=True)
class Row:
    """`step_ms` of one rank alone; the efficiency is the share of N times its rate."""

    network: str
    ranks: int
    batch: int
    step_ms: float
    sum_ms: float
    efficiency_after: float
    efficiency_beside: float


def sum_seconds(link: Link, ranks: int, size: float) -> float:
    """The time of one sum of `size` bytes over `ranks`."""
    if ranks == 1:
        return 0.0
    ring = 2 * (ranks - 1) / ranks * size / link.bandwidth + 2 * (ranks - 1) * link.latency
    tree = 2 * size / link.bandwidth + 2 * math.ceil(math.log2(ranks)) * link.latency
    return min(ring, tree)


def efficiency(link: Link, ranks: int, step: float, beside: bool) -> float:
    """The share of N times one rank's rate that N ranks reach."""
    exposed = whole = sum_seconds(link, ranks, BYTES)
    if beside:
        last = sum_seconds(link, ranks, min(BUCKET_BYTES, BYTES))
        exposed = max(last, whole - BACKWARD_SHARE * step)
    return step / (step + exposed)


def rows(step_ms: float, batch: int) -> Iterator[Row]:
    for between in BETWEEN:
        slower = min(WITHIN, between, key=lambda link: link.bandwidth)
        across = Link(between.name, slower.bandwidth, between.latency)
        for ranks in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            link = WITHIN if ranks <= GPUS_A_NODE else across
            if link is WITHIN and between is not BETWEEN[0]:
                continue
            yield Row(
                network=link.name,
                ranks=ranks,
                batch=batch,
                step_ms=step_ms,
                sum_ms=round(1e3 * sum_seconds(link, ranks, BYTES), 3),
                efficiency_after=round(efficiency(link, ranks, step_ms / 1e3, False), 4),
                efficiency_beside=round(efficiency(link, ranks, step_ms / 1e3, True), 4),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step-ms", type=float, default=35.6, help="one rank's; see step_*.csv")
    parser.add_argument("--batch", type=int, default=64, help="images of that step")
    parser.add_argument("--check", action="store_true", help="measure gloo here instead")
    parser.add_argument("--csv", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    if options.check:
        from benchmarks.training.scaling_check import check

        check(options.csv)
        return
    table = Table(options.csv, Row)
    print(f"{PARAMETERS / 1e6:.1f} M parameters; {options.step_ms} ms a step of {options.batch}")
    for row in rows(options.step_ms, options.batch):
        table.append(row)
        print(
            f"{row.network:31} {row.ranks:4} ranks: sum {row.sum_ms:7.2f} ms, efficiency "
            f"{row.efficiency_after:6.1%} after, {row.efficiency_beside:6.1%} beside backward"
        )
    for link in (WITHIN, *BETWEEN):
        print(f"{link.name}: {link.bandwidth / 1e9:.1f} GB/s; {link.source}")


if __name__ == "__main__":
    main()
