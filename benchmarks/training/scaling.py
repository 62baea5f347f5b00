"""Model how data-parallel training scales; nothing is measured here.

A step on N ranks is a rank's own step plus the all-reduce of the gradients, 4 bytes per parameter.
The all-reduce is a ring (2 (N - 1) / N of the bytes, 2 (N - 1) hops) or a double binary tree (twice
the bytes, 2 log2 N hops), whichever is faster, as NCCL chooses. A ring enters and leaves each node
once, so its bandwidth is that of the slower of the links within and between nodes. The all-reduce
follows the backward pass, as with ZeRO 0, or overlaps with it, all but the last bucket.

`python -m benchmarks.training.gloo` holds the model against ranks on this machine.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.script import script_parser
from benchmarks.common.table import Table

__all__ = ["BETWEEN", "BYTES", "PARAMETERS", "WITHIN", "Link", "Row", "allreduce_seconds", "main"]

PARAMETERS = 13_005_576
"""Of the paper's network."""

BYTES = 4 * PARAMETERS
BACKWARD_SHARE = 2 / 3
"""Of a step's time, as of its operations."""

BUCKET_BYTES = 25 * 2**20
GPUS_PER_NODE = 8


@dataclass(frozen=True)
class Link:
    """Bytes per second of a ring through it, in one direction, and seconds per hop."""

    name: str
    bandwidth: float
    latency: float
    source: str = ""


def _wire(gigabits: float) -> float:
    """Bytes per second of collectives on a wire of this line rate: nine tenths of it."""
    return 0.9 * gigabits * 1e9 / 8


WITHIN = Link(
    "NVLink 4",
    0.8 * 450e9,
    2e-6,
    "H100 and H200 datasheets: 450 GB/s in each direction, of which 0.8 are assumed here; "
    "saturncloud.io/blog/crusoe-nccl-cluster-validation measures 400 to 450 with nccl-tests",
)
BETWEEN = (
    Link(
        "InfiniBand NDR, 8 cards per node",
        _wire(8 * 400),
        5e-6,
        "DGX H100 user guide: 8 ConnectX-7 of 400 Gb/s",
    ),
    Link("InfiniBand HDR, 1 card per node", _wire(200), 5e-6, "ConnectX-6: 200 Gb/s"),
    Link("Ethernet, 100 Gb/s per node", _wire(100), 25e-6, "IEEE 802.3ba"),
    Link("Ethernet, 25 Gb/s per node", _wire(25), 25e-6, "IEEE 802.3by"),
)


@dataclass(frozen=True)
class Row:
    """`step_ms` is of one rank alone; an efficiency is the share of N times its rate."""

    network: str
    ranks: int
    batch: int
    step_ms: float
    allreduce_ms: float
    efficiency_after: float
    efficiency_overlapped: float


def allreduce_seconds(link: Link, ranks: int, size: float) -> float:
    """The time of one all-reduce of `size` bytes over `ranks`."""
    if ranks == 1:
        return 0.0
    ring = 2 * (ranks - 1) / ranks * size / link.bandwidth + 2 * (ranks - 1) * link.latency
    tree = 2 * size / link.bandwidth + 2 * math.ceil(math.log2(ranks)) * link.latency
    return min(ring, tree)


def efficiency(link: Link, ranks: int, step: float, overlapped: bool) -> float:
    """The share of N times one rank's rate that N ranks reach, for a step of `step` seconds."""
    exposed = whole = allreduce_seconds(link, ranks, BYTES)
    if overlapped:
        last = allreduce_seconds(link, ranks, min(BUCKET_BYTES, BYTES))
        exposed = max(last, whole - BACKWARD_SHARE * step)
    return step / (step + exposed)


def rows(step_ms: float, batch: int) -> Iterator[Row]:
    for between in BETWEEN:
        slower = min(WITHIN, between, key=lambda link: link.bandwidth)
        across = Link(between.name, slower.bandwidth, between.latency)
        for ranks in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            link = WITHIN if ranks <= GPUS_PER_NODE else across
            if link is WITHIN and between is not BETWEEN[0]:
                continue
            yield Row(
                network=link.name,
                ranks=ranks,
                batch=batch,
                step_ms=step_ms,
                allreduce_ms=round(1e3 * allreduce_seconds(link, ranks, BYTES), 3),
                efficiency_after=round(efficiency(link, ranks, step_ms / 1e3, False), 4),
                efficiency_overlapped=round(efficiency(link, ranks, step_ms / 1e3, True), 4),
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.scaling", __doc__)
    parser.add_argument("--step-ms", type=float, default=35.6, help="of one rank; see step_*.csv")
    parser.add_argument("--batch", type=int, default=64, help="images per rank and step")
    parser.add_argument("--csv", type=Path, help="write the rows to this file, over what it holds")
    options = parser.parse_args(arguments)
    table, made = Table(options.csv, Row), list(rows(options.step_ms, options.batch))
    print(f"{PARAMETERS / 1e6:.1f} M parameters; {options.step_ms} ms per step of {options.batch}")
    for row in made:
        print(
            f"{row.network:33} {row.ranks:4} ranks: all-reduce {row.allreduce_ms:7.2f} ms, "
            f"efficiency {row.efficiency_after:6.1%}, overlapped {row.efficiency_overlapped:6.1%}"
        )
    for link in (WITHIN, *BETWEEN):
        print(f"{link.name}: {link.bandwidth / 1e9:.1f} GB/s; {link.source}")
    table.replace(made)


if __name__ == "__main__":
    main()
