"""Make `benchmarks/REPORT.md` and its plots of the tables `results/kernels_*.csv`."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.common.markdown import markdown_table
from benchmarks.common.paths import BENCHMARKS, PLOTS, RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.kernels.case import DIRECTIONS, OPS
from benchmarks.kernels.harness import Row
from benchmarks.kernels.plots import draw_plots, plot_name
from benchmarks.kernels.targets import target_lines
from sesame_hpc.files import write_text_atomic

__all__ = ["REPORT", "main", "report"]

REPORT = BENCHMARKS / "REPORT.md"


def report() -> str:
    """The report as Markdown; it shows those of its plots that exist."""
    names = ", ".join(f"`results/{table.name}`" for table in _tables())
    rows = _rows()
    lines = [
        "# Benchmarks of the kernels",
        "",
        f"Made by `python -m benchmarks.kernels.report` of {names}.",
    ]
    if not any(row.copy_fraction is not None for row in rows):
        lines += ["", "No GPU has been measured yet; `make bench` on a machine with one adds it."]
    lines.append("")
    for device, table in _by_device(rows):
        lines += _section(device, table)
    return "\n".join(lines).rstrip() + "\n"


def _tables() -> list[Path]:
    return sorted(RESULTS.glob("kernels_*.csv"))


def _rows() -> list[Row]:
    return [row for table in _tables() for row in Table(table, Row).read()]


def _by_device(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for device, group in groupby(sorted(rows, key=_order), lambda row: row.device):
        yield device, list(group)


def _order(row: Row) -> tuple[str, int, str, str, int]:
    return row.device, OPS.index(row.op), row.shape, row.dtype, DIRECTIONS.index(row.direction)


def _section(device: str, rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    lines = [
        f"## {device}",
        "",
        f"torch {first.torch}, triton {first.triton or 'not installed'}, "
        f"{first.threads} CPU threads. Medians in ms, with the 20 % and 80 % quantiles in",
        "brackets; `x ours` is the provider's time over ours: above 1, ours is faster.",
        "",
        *target_lines(rows),
    ]
    for (op, shape, dtype), group in groupby(rows, lambda row: (row.op, row.shape, row.dtype)):
        lines += [f"### {op}, {shape}, {dtype}", "", _table(list(group))]
    for op, group in groupby(rows, lambda row: row.op):
        if (PLOTS / (name := plot_name(op, next(group)))).exists():
            lines.append(f"![{op} on {device}](plots/{name})")
    return [*lines, ""]


def _table(rows: Sequence[Row]) -> str:
    on_cuda = any(row.copy_fraction is not None for row in rows)
    ours = {row.direction: row.median_ms for row in rows if row.provider == "ours"}
    lines = []
    for row in rows:
        cells = [
            row.direction,
            row.provider,
            f"{row.median_ms:.3g} [{row.p20_ms:.3g}, {row.p80_ms:.3g}]",
            f"{row.median_ms / ours[row.direction]:.2f}",
        ]
        if on_cuda:
            graph = "" if row.graph_ms is None else f"{row.graph_ms:.3g}"
            cells += [graph, f"{row.peak_mb}", f"{row.copy_fraction or 0.0:.0%}"]
        lines.append(cells)
    more = ["graph replay, ms", "peak MB", "of copy bandwidth"] if on_cuda else []
    return markdown_table(["direction", "provider", "ms", "x ours", *more], lines)


def main(arguments: Sequence[str] | None = None) -> None:
    script_parser("benchmarks.kernels.report", __doc__).parse_args(arguments)
    try:
        for device, rows in _by_device(_rows()):
            draw_plots(device, rows)
    except ImportError:
        print("matplotlib is not installed, so the plots stay as they are: pip install '.[bench]'")
    write_text_atomic(REPORT, report())


if __name__ == "__main__":
    main()
