"""Make `REPORT.md` and its plots of the tables in `results/`: `python -m benchmarks.kernels.report`."""

import os
from collections.abc import Sequence
from itertools import groupby

from benchmarks.common.paths import BENCHMARKS, PLOTS, RESULTS
from benchmarks.kernels.harness import DIRECTIONS, Row
from benchmarks.kernels.run import OPS, read_csv
from benchmarks.kernels.targets import target_lines

__all__ = ["main"]

_COLOURS = ("#1f6f8b", "#c9c9c9", "#e0a458", "#8fb996", "#b56576", "#6d597a", "#355070", "#111111")


def sections(rows: Sequence[Row], with_plots: bool) -> list[str]:
    lines: list[str] = []
    for device, of_device in groupby(sorted(rows, key=_order), lambda row: row.device):
        table = list(of_device)
        first = table[0]
        lines += [
            f"## {device}",
            "",
            f"torch {first.torch}, triton {first.triton or 'not installed'}, "
            f"{first.threads} CPU threads. Medians in ms, in brackets the 20 % and 80 % quantiles;",
            "`x ours` is the provider's time over ours: above 1, ours is faster.",
            "",
            *target_lines(table),
        ]
        for (op, shape, dtype), of_case in groupby(
            table, lambda row: (row.op, row.shape, row.dtype)
        ):
            lines += _case(f"{op}, {shape}, {dtype}", list(of_case))
        if with_plots:
            lines += [f"![{op} on {device}](plots/{name})" for op, name in _plots(device, table)]
            lines.append("")
    return lines


def _order(row: Row) -> tuple[str, int, str, str, int]:
    return row.device, OPS.index(row.op), row.shape, row.dtype, DIRECTIONS.index(row.direction)


def _case(title: str, rows: Sequence[Row]) -> list[str]:
    on_cuda = any(row.copy_fraction is not None for row in rows)
    more = " | graph replay | peak MB | of copy" if on_cuda else ""
    lines = [f"### {title}", "", f"| direction | provider | ms | x ours{more} |"]
    lines.append("|---" * (7 if on_cuda else 4) + "|")
    ours = {row.direction: row.median_ms for row in rows if row.provider == "ours"}
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
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _plots(device: str, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(op, file) of a bar chart for each op: forward and backward together, by provider."""
    from matplotlib.figure import Figure

    made = []
    for op, of_op in groupby(rows, lambda row: row.op):
        both = [row for row in of_op if row.direction == "both"]
        cases = list(dict.fromkeys((row.shape, row.dtype) for row in both))
        providers = list(dict.fromkeys(row.provider for row in both))
        figure = Figure(figsize=(7, 1.0 + 0.25 * len(cases) * len(providers)))
        axes = figure.subplots()
        height = 0.8 / len(providers)
        for index, provider in enumerate(providers):
            times = {(r.shape, r.dtype): r.median_ms for r in both if r.provider == provider}
            places = [place + index * height for place, case in enumerate(cases) if case in times]
            axes.barh(
                places,
                list(times.values()),
                height,
                label=provider,
                color=_COLOURS[index % len(_COLOURS)],
            )
        axes.set_yticks([place + 0.4 for place in range(len(cases))])
        axes.set_yticklabels([f"{shape}\n{dtype}" for shape, dtype in cases], fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel("forward and backward, ms (median)")
        axes.set_title(op)
        axes.legend(fontsize=7)
        figure.tight_layout()
        name = f"{op}_{'cuda' if both[0].copy_fraction is not None else 'cpu'}.svg"
        PLOTS.mkdir(exist_ok=True)
        figure.savefig(PLOTS / name, metadata={"Date": None})
        made.append((op, name))
    return made


def main() -> None:
    tables = sorted(RESULTS.glob("kernels_*.csv"))
    rows = [row for table in tables for row in read_csv(table)]
    try:
        import matplotlib

        matplotlib.rcParams["svg.hashsalt"] = "sesame"
        with_plots = True
    except ImportError:
        print("matplotlib is not installed: REPORT.md gets no plots (pip install '.[bench]')")
        with_plots = False
    names = ", ".join(f"`results/{table.name}`" for table in tables)
    lines = [
        "# Benchmarks of the kernels",
        "",
        f"Made by `python -m benchmarks.kernels.report` of {names}.",
    ]
    if not any(row.copy_fraction is not None for row in rows):
        lines += ["", "No GPU has been measured yet: `make bench` on a machine with one does it."]
    lines += ["", *sections(rows, with_plots)]
    part = BENCHMARKS / "REPORT.md.part"
    part.write_text("\n".join(lines).rstrip() + "\n")
    os.replace(part, BENCHMARKS / "REPORT.md")


if __name__ == "__main__":
    main()
