"""One line per kernel and architecture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sesame_kernels.aot.launches import Inputs, compiled_launches
from sesame_kernels.aot.resources import Resources, fault_of, resources_of

__all__ = ["Report", "reports_of", "table_line", "without_repeats"]


@dataclass(frozen=True)
class Report:
    """One kernel of an op on one architecture; `fault` is empty if it can run as intended.

    `binary` identifies the machine code.
    """

    arch: str
    op: str
    kernel: str
    dtype: str
    layout: str
    resources: Resources
    fault: str
    binary: str


def reports_of(arch: str, inputs: Inputs, only: Sequence[str] | None = None) -> list[Report]:
    """Of all ops, or only of some, compiled in this process."""
    reports = []
    for launch in compiled_launches(arch, inputs, only):
        used = resources_of(launch, arch)
        reports.append(
            Report(
                arch,
                launch.op,
                launch.binary.name,
                inputs.dtype,
                inputs.layout,
                used,
                fault_of(used, arch),
                launch.binary.metadata.hash,
            )
        )
    return reports


def without_repeats(reports: Iterable[Report]) -> list[Report]:
    """Kernels that only process sums are the same for all inputs: the first of each is kept."""
    kept: dict[str, Report] = {}
    for report in reports:
        kept.setdefault(report.binary, report)
    return list(kept.values())


def table_line(report: Report) -> str:
    used = report.resources
    instructions = "-" if used.instructions is None else f"{used.instructions:.1f}"
    return (
        f"{report.arch:7} {report.op:28} {report.kernel:27} {report.dtype:4} {report.layout:13} "
        f"{instructions:>6} instructions/element  data {used.load_bytes:2} B loads "
        f"{used.store_bytes:2} B stores  {used.barriers:4.0f} barriers "
        f"{used.registers:3} registers {used.shared:6} B shared {used.occupancy:4.0%} occupancy  "
        f"{used.matrix_unit:8}{'FAILS: ' + report.fault if report.fault else ''}"
    ).rstrip()
