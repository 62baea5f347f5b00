"""One line per launch and architecture."""

from collections.abc import Sequence
from dataclasses import dataclass

from sesame_kernels.aot.launches import recorded_launches
from sesame_kernels.aot.resources import Resources, fault_of, resources_of

__all__ = ["Report", "reports_of", "table_line"]


@dataclass(frozen=True)
class Report:
    """One kernel on one architecture; `fault` is empty if it can run as intended."""

    arch: str
    op: str
    kernel: str
    dtype: str
    layout: str
    resources: Resources
    fault: str


def reports_of(
    arch: str, share: int = 0, shares: int = 1, ops: Sequence[str] | None = None
) -> list[Report]:
    """Of one share of the launches, compiled in this process."""
    launches = [launch for launch in recorded_launches(arch) if not ops or launch.op in ops]
    reports = []
    for launch in launches[share::shares]:
        used = resources_of(launch, arch)
        fault = fault_of(used, arch)
        name = launch.kernel.__name__
        reports.append(Report(arch, launch.op, name, launch.dtype, launch.layout, used, fault))
    return reports


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
