"""What the CSV files of a run's page hold: the numbers of its tables, unrounded."""

from collections.abc import Sequence
from typing import Any

from sesame_hpc.report.csv_file import Cell, CsvFile
from sesame_hpc.report.report_data import EvaluatedPart
from sesame_hpc.report.tables import MaskingRow, RegionRow, StageRow, rates_of
from sesame_hpc.schemes import Scheme

__all__ = ["landmark_csv", "masking_csv", "rate_csv", "region_csv", "stage_csv"]


def region_csv(title: str, stages: Sequence[str], rows: Sequence[RegionRow]) -> CsvFile:
    """NME in percent of each stage with its interval, the change in percentage points with its."""
    columns = ["region", "landmarks", *_bounded(f"{stage}_nme" for stage in stages)]
    columns += [*_bounded(["change"]), "masked_share"]
    cells: list[list[Cell]] = []
    for row in rows:
        pairs = list(zip(row.nme, row.intervals, strict=True))
        pairs.append((row.change, row.change_interval))
        cells.append([row.name, row.points, *_with_bounds(pairs), row.masked])
    return CsvFile(title, columns, cells)


def rate_csv(title: str, part: EvaluatedPart) -> CsvFile:
    """All figures of all faces, and of each subset, with their intervals; a row for each stage."""
    names = ("nme", "fr8", "fr10", "auc8", "auc10")
    cells: list[list[Cell]] = []
    for group, stage, figures in rates_of(part):
        bounds = figures.get("intervals", {})
        pairs = [(figures.get(name), bounds.get(name)) for name in names]
        cells.append([group, stage, figures["faces"], *_with_bounds(pairs)])
    return CsvFile(title, ["faces_of", "stage", "faces", *_bounded(names)], cells)


def landmark_csv(title: str, landmarks: dict[str, list[float | None]], scheme: Scheme) -> CsvFile:
    """NME in percent of each landmark, by stage."""
    region_of = {point: name for name, points in scheme.regions.items() for point in points}
    cells: list[list[Cell]] = [
        [point, name, region_of[point], *(values[point] for values in landmarks.values())]
        for point, name in enumerate(scheme.points)
    ]
    columns = ["landmark", "name", "region", *(f"{stage}_nme" for stage in landmarks)]
    return CsvFile(title, columns, cells)


def masking_csv(title: str, rows: Sequence[MaskingRow]) -> CsvFile:
    """The held-out NME in percent of each region, and its share of the masks in [0, 1]."""
    return CsvFile(
        title,
        ["region", "heldout_nme", "masked_share"],
        [[row.name, row.nme, row.share] for row in rows],
    )


def stage_csv(title: str, rows: Sequence[StageRow]) -> CsvFile:
    """What each stage did and cost."""
    costs = ("starts", "seconds", "gpu_hours", "queue_seconds", "lost_steps", "lost_seconds")
    names = ("state", "epochs", "steps", "batch_size", "images_per_second", "seconds")
    cells: list[list[Cell]] = [
        [
            row.name,
            *(getattr(row, name) for name in names),
            *(getattr(row.cost, name, None) for name in costs),
        ]
        for row in rows
    ]
    return CsvFile(title, ["stage", *names, *(f"cost_{name}" for name in costs)], cells)


def _bounded(names: Any) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _with_bounds(pairs: Sequence[tuple[float | None, Sequence[float] | None]]) -> list[Cell]:
    return [cell for value, bounds in pairs for cell in (value, *(bounds or (None, None)))]
