"""The tables of a page of several runs, and their numbers as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sesame_hpc.choices import Part
from sesame_hpc.report.charts import change_mark, readable, whiskers
from sesame_hpc.report.compared_runs import ComparedRun
from sesame_hpc.report.csv_file import Cell, CsvFile

__all__ = ["RegionLine", "RunRow", "compared_regions", "region_csv", "run_csv", "run_rows"]


@dataclass(frozen=True)
class RunRow:
    """A run on the part; figures in percent, AUC in [0, 1]; all None where it has none."""

    name: str
    seed: int
    stage: str | None
    faces: int | None
    nme: float | None
    interval: Sequence[float] | None
    fr10: float | None
    auc10: float | None
    seconds: float
    samples: int


def run_rows(runs: Sequence[ComparedRun], part: Part) -> list[RunRow]:
    """In the order of the runs."""
    rows = []
    for run in runs:
        figures = run.figures(part) or {}
        rows.append(
            RunRow(
                run.name,
                run.seed,
                run.stage(part),
                figures.get("faces"),
                figures.get("nme"),
                figures.get("intervals", {}).get("nme"),
                figures.get("fr10"),
                figures.get("auc10"),
                sum(result["seconds"] for result in run.data.results.values()),
                run.samples,
            )
        )
    return rows


def run_csv(title: str, rows: Sequence[RunRow]) -> CsvFile:
    columns = ["run", "seed", "stage", "faces", "nme", "nme_low", "nme_high", "fr10", "auc10"]
    cells: list[list[Cell]] = [
        [
            *(row.name, row.seed, row.stage, row.faces, row.nme),
            *(row.interval or (None, None)),
            *(row.fr10, row.auc10, row.seconds, row.samples),
        ]
        for row in rows
    ]
    return CsvFile(title, [*columns, "seconds", "samples"], cells)


@dataclass(frozen=True)
class RegionLine:
    """A region, or all points: the NME in percent of each group, and each one's change.

    A change is {"mean", "interval", "side"} in percentage points with its interval as "bounds" and
    their drawing as "mark"; None where it is not known.
    """

    name: str
    nme: list[float | None]
    changes: list[dict[str, Any] | None]
    is_total: bool = False


def compared_regions(
    figures: Sequence[dict[str, Any]], compared: Sequence[dict[str, Any]], regions: Sequence[str]
) -> list[RegionLine]:
    """A line for each region, and one for all points; all changes are drawn to one scale."""
    every = [
        change for each in compared for change in (each["nme"], *each["regions"].values()) if change
    ]
    bounds = [_interval(change) or (change["mean"], change["mean"]) for change in every]
    scale = whiskers(bounds) if bounds else None
    lines = []
    for name in (*regions, None):
        changes = [each["nme"] if name is None else each["regions"][name] for each in compared]
        lines.append(
            RegionLine(
                "all points" if name is None else readable(name),
                [each["mean"] if name is None else each["regions"][name] for each in figures],
                [
                    change and change | {"mark": _mark(change, scale), "bounds": _interval(change)}
                    for change in changes
                ],
                name is None,
            )
        )
    return lines


def _mark(change: dict[str, Any], scale: Any) -> Markup | None:
    interval = _interval(change)
    return None if interval is None else change_mark(change["mean"], interval, scale)


def _interval(change: dict[str, Any]) -> Sequence[float] | None:
    """Over seeds and faces; of a single pair of runs over faces."""
    return change["interval"] or change["over_faces"]


def region_csv(
    title: str,
    figures: Sequence[dict[str, Any]],
    compared: Sequence[dict[str, Any]],
    regions: Sequence[str],
) -> CsvFile:
    """NME in percent of each group, and the changes with their intervals."""
    columns = ["region", *(f"nme of {each['name']}" for each in figures)]
    for each in compared:
        name = f"{each['arm']} minus {each['control']}"
        columns += [name, f"{name}, low", f"{name}, high"]
    cells: list[list[Cell]] = []
    change: Any
    for line in compared_regions(figures, compared, regions):
        changes: list[Cell] = []
        for change in line.changes:
            low, high = (change and _interval(change)) or (None, None)
            changes += [change and change["mean"], low, high]
        cells.append([line.name, *line.nme, *changes])
    return CsvFile(title, columns, cells)
