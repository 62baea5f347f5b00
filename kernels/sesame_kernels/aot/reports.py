"""What each kernel, and each op with all its kernels, uses on an architecture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sesame_kernels.aot.launches import Inputs, compiled_launches
from sesame_kernels.aot.resources import Resources, fault_of, resources_of

__all__ = ["OpReport", "Report", "op_reports", "reports_of", "table_line", "without_repeats"]


@dataclass(frozen=True)
class Report:
    """One kernel of an op; `fault` is empty if it can run as intended.

    `elements` are those of its data, `binary` identifies the machine code.
    """

    arch: str
    op: str
    layout: str
    dtype: str
    kernel: str
    elements: int
    resources: Resources
    fault: str
    binary: str


@dataclass(frozen=True)
class OpReport:
    """One op: what its kernels use that process the data of the op.

    `instructions` are those of all its kernels per element of that data, and `bytes` those that all
    move, each tensor once per kernel; `load_bytes`, `store_bytes` (0
    without such an access) and `occupancy` are the least, `barriers` the most of a kernel.
    """

    arch: str
    op: str
    layout: str
    dtype: str
    instructions: float
    load_bytes: int
    store_bytes: int
    barriers: float
    occupancy: float
    bytes: float


def reports_of(arch: str, inputs: Inputs, only: Sequence[str] | None = None) -> list[Report]:
    """Of all ops, or only of some, compiled in this process."""
    launches = compiled_launches(arch, inputs, only)
    return [
        Report(
            arch,
            launch.op,
            inputs.layout,
            inputs.dtype,
            launch.binary.name,
            launch.elements(),
            used,
            fault_of(used, arch),
            launch.binary.metadata.hash,
        )
        for launch, used in zip(launches, resources_of(launches, arch), strict=True)
    ]


def op_reports(reports: Iterable[Report]) -> list[OpReport]:
    """One for each op, layout and dtype on each architecture."""
    return [_op_report(list(group)) for _, group in groupby(sorted(reports, key=_key), _key)]


def _key(report: Report) -> tuple[str, str, str, str]:
    return report.arch, report.op, report.layout, report.dtype


def _op_report(kernels: Sequence[Report]) -> OpReport:
    elements = max(kernel.elements for kernel in kernels)
    main = [kernel.resources for kernel in kernels if kernel.elements == elements]
    counts = [kernel.resources.instructions * kernel.elements for kernel in kernels]
    return OpReport(
        *_key(kernels[0]),
        instructions=round(sum(counts) / elements, 1),
        load_bytes=min((used.load_bytes for used in main if used.load_bytes), default=0),
        store_bytes=min((used.store_bytes for used in main if used.store_bytes), default=0),
        barriers=max(used.barriers for used in main),
        occupancy=min(used.occupancy for used in main),
        bytes=round(sum(each.resources.bytes * each.elements for each in kernels) / elements, 1),
    )


def without_repeats(reports: Iterable[Report]) -> list[Report]:
    """Kernels that only process sums are the same for all inputs: the first of each is kept."""
    kept: dict[str, Report] = {}
    for report in reports:
        kept.setdefault(report.binary, report)
    return list(kept.values())


def table_line(report: Report) -> str:
    used = report.resources
    return (
        f"{report.arch:7} {report.op:28} {report.kernel:27} {report.dtype:4} {report.layout:13} "
        f"{used.instructions:6.1f} instructions/element  data {used.load_bytes:2} B loads "
        f"{used.store_bytes:2} B stores  {used.barriers:4.0f} barriers "
        f"{used.registers:3} registers {used.shared:6} B shared {used.occupancy:4.0%} occupancy  "
        f"{used.matrix_unit:8}{'FAILS: ' + report.fault if report.fault else ''}"
    ).rstrip()
