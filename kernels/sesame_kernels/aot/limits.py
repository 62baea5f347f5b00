"""What bounds each op on an H100: a prediction, from its machine code and the bytes that it moves.

A multiprocessor issues at most 4 instructions of a warp per cycle, so instructions per element
bound the elements per second; the memory bounds their bytes. Latency and the units for special
functions come on top: the figures are what can be reached at the most.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sesame_kernels.aot.reports import OpReport

__all__ = ["ARCH", "limit_rows", "most_of_copy"]

ARCH = "sm_90"


@dataclass(frozen=True)
class _Gpu:
    """`copied` are bytes per second, read and written, of a copy."""

    multiprocessors: int
    hertz: float
    copied: float

    @property
    def instructions(self) -> float:
        """Of threads, per second."""
        return self.multiprocessors * 4 * 32 * self.hertz


# NVIDIA H100 SXM5: 3.35 TB/s, of which a copy reaches the share that it reaches on an H200
# (4.25 of 4.8 TB/s; docs/kernels/measured.md).
_H100 = _Gpu(132, 1.755e9, 3.35e12 * 4.25 / 4.8)


def most_of_copy(report: OpReport) -> float | None:
    """The share of a copy's bandwidth that the op can reach; None with matrix products."""
    if report.instructions is None or report.bytes == 0:
        return None
    issuing = report.instructions / _H100.instructions
    moving = report.bytes / _H100.copied
    return moving / max(issuing, moving)


def limit_rows(reports: Iterable[OpReport]) -> list[str]:
    """A Markdown table of those for sm_90."""
    rows = [
        "| op | layout | dtype | bytes per element | loads, stores of a thread | instructions per "
        "element | of copy bandwidth, at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        if report.arch != ARCH:
            continue
        most = most_of_copy(report)
        rows.append(
            f"| `{report.op}` | {report.layout.replace('_', '-')} | {report.dtype} "
            f"| {report.bytes:g} | {_width(report.load_bytes)}, {_width(report.store_bytes)} "
            f"| {'' if report.instructions is None else f'{report.instructions:g}'} "
            f"| {'' if most is None else f'{most:.0%}'} |"
        )
    return rows


def _width(size: int) -> str:
    return f"{size} B" if size else "none"
