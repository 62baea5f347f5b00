"""The rows of the report's tables, as numbers; the template prints them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from statistics import median
from typing import Any

from markupsafe import Markup

from sesame_hpc.choices import COORDINATE_STAGES
from sesame_hpc.report.charts import change_mark, readable, whiskers
from sesame_hpc.report.report_data import EvaluatedPart, ReportData
from sesame_hpc.report.svg import Scale
from sesame_hpc.run.work import StageCost

__all__ = [
    "MaskingRow",
    "OverallRow",
    "RegionRow",
    "StageRow",
    "masking_rows",
    "overall_rows",
    "point_range",
    "rates_of",
    "region_rows",
    "stage_rows",
]

_RATES = ("nme", "fr8", "fr10", "auc8", "auc10")


@dataclass(frozen=True)
class RegionRow:
    """A region, or all points, in Table 1: NME in percent, change in percentage points."""

    name: str
    points: str
    nme: list[float | None]
    intervals: list[Sequence[float] | None]
    change: float | None
    change_interval: Sequence[float] | None
    mark: Markup | None
    masked: float | None
    is_total: bool = False

    @property
    def rate(self) -> float | None:
        """The change in percent of the first NME."""
        before = self.nme[0]
        return None if self.change is None or not before else 100.0 * self.change / before


def region_rows(data: ReportData, part: EvaluatedPart) -> list[RegionRow]:
    """One row per region and one for all points, with the run's coordinate stages in their order.

    The last one is for all points with averaged weights, if there are any.
    """
    changes = [each.change for each in (part, part.ema) if each and each.change]
    every = [row for each in changes for row in (each["nme"], *each["regions"].values())]
    scale = whiskers([row["interval"] for row in every if row["interval"]]) if every else None
    stages, rows = data.config.stages.coordinate, []
    for name, points in data.scheme.regions.items():
        masked = None if data.masking is None else data.masking[name]
        rows.append(_region_row(stages, part, name, readable(name), points, scale, masked))
    everything = range(data.scheme.num_landmarks)
    rows.append(_region_row(stages, part, None, "all points", everything, scale, None))
    if part.ema:
        name = "all points, EMA"
        rows.append(_region_row(stages, part.ema, None, name, everything, scale, None))
    return rows


def _region_row(
    stages: Sequence[str],
    part: EvaluatedPart,
    region: str | None,
    name: str,
    points: Sequence[int],
    scale: Scale | None,
    masked: float | None,
) -> RegionRow:
    nme = [_nme(part.figures.get(stage), region) for stage in stages]
    before, after = nme[0], nme[1] if len(nme) > 1 else None
    row = RegionRow(
        name=name,
        points=point_range(points),
        nme=nme,
        intervals=[_interval(part.figures.get(stage), region) for stage in stages],
        change=None if before is None or after is None else after - before,
        change_interval=None,
        mark=None,
        masked=masked,
        is_total=region is None,
    )
    if part.change is None or scale is None:
        return row
    paired = part.change["nme"] if region is None else part.change["regions"][region]
    if paired["interval"] is None:
        return row
    mark = change_mark(paired["difference"], paired["interval"], scale)
    return replace(row, change_interval=paired["interval"], mark=mark)


def _nme(figures: dict[str, Any] | None, region: str | None) -> float | None:
    if figures is None:
        return None
    return figures["nme"] if region is None else figures["regions"][region]


def _interval(figures: dict[str, Any] | None, region: str | None) -> Sequence[float] | None:
    intervals = (figures or {}).get("intervals", {})
    return intervals.get("nme") if region is None else intervals.get("regions", {}).get(region)


def point_range(points: Sequence[int]) -> str:
    """0–32 if they are consecutive, else their number."""
    if list(points) == list(range(points[0], points[-1] + 1)):
        return str(points[0]) if len(points) == 1 else f"{points[0]}–{points[-1]}"
    return f"{len(points)} points"


@dataclass(frozen=True)
class OverallRow:
    """Some faces or points; `rates` are NME, FR@8, FR@10 (percent), AUC@8, AUC@10 by stage.

    A rate that there is none of is None, and so is an interval in `bounds`, which has their form.
    """

    name: str
    faces: int
    rates: list[list[float | None]]
    bounds: list[list[Sequence[float] | None]]


def rates_of(part: EvaluatedPart) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(whose, stage, figures) of all faces, each subset and data set, the points by visibility, and
    all faces with averaged weights; by group, and in it by finished stage.
    """
    stages = part.figures
    yield from (("all faces", stage, figures) for stage, figures in stages.items())
    groups = {"subsets": "{}", "sources": "data set {}", "visibility": "{} points"}
    for group, title in groups.items():
        for name in next(iter(stages.values())).get(group, {}):
            for stage, figures in stages.items():
                yield title.format(name), stage, figures[group][name]
    for stage in stages if part.ema else ():
        figures = part.ema.figures.get(stage, {}) if part.ema else {}
        yield "all faces, EMA", stage, {"faces": part.count} | figures


def overall_rows(part: EvaluatedPart) -> list[OverallRow]:
    """One row for each group of `rates_of`."""
    rows = []
    for name, group in groupby(rates_of(part), key=itemgetter(0)):
        stages = [figures for _, _, figures in group]
        bounds = [figures.get("intervals", {}) for figures in stages]
        rows.append(
            OverallRow(
                name,
                stages[0]["faces"],
                [[figures.get(key) for figures in stages] for key in _RATES],
                [[its.get(key) for its in bounds] for key in _RATES],
            )
        )
    return rows


@dataclass(frozen=True)
class MaskingRow:
    """A region's preliminary held-out NME in percent and its share of the masks, in [0, 1]."""

    name: str
    nme: float | None
    share: float
    length: float


def masking_rows(data: ReportData) -> list[MaskingRow]:
    """The masking distribution; `length` is the share over the largest."""
    if data.masking is None:
        return []
    regions = data.results.get("preliminary", {}).get("heldout", {}).get("regions", {})
    most = max(data.masking.values())
    return [
        MaskingRow(readable(name), regions.get(name), share, share / most)
        for name, share in data.masking.items()
    ]


@dataclass(frozen=True)
class StageRow:
    """A stage's progress; `seconds` without work lost by interruptions, None until finished.

    `cost` has that work, too; None for a stage of a run by an earlier version, or of another run.
    """

    name: str
    state: str
    epochs: int
    steps: int
    batch_size: int
    seconds: float | None
    images_per_second: float | None
    data_wait: str
    mfu: str
    peak_memory: str
    figure: str
    cost: StageCost | None


def stage_rows(data: ReportData) -> list[StageRow]:
    """One row per stage."""
    return [_stage_row(data, stage) for stage in data.stages]


def _stage_row(data: ReportData, stage: str) -> StageRow:
    settings = getattr(data.config.stages, stage)
    losses, rates = data.of_stage(stage, "loss"), data.of_stage(stage, "images_per_second")
    result = data.results.get(stage)
    return StageRow(
        name=stage,
        state="finished" if result else "started" if losses else "not started",
        epochs=settings.epochs,
        steps=losses[-1][0] if losses else 0,
        batch_size=settings.batch_size,
        seconds=result["seconds"] if result else None,
        images_per_second=median(rate for _, rate in rates) if rates else None,
        data_wait=_median(data, stage, "data_wait", "{:.1%}"),
        mfu=_median(data, stage, "mfu", "{:.1%}"),
        peak_memory=_median(data, stage, "peak_memory_gib", "{:.2f} GiB"),
        figure=_last_figure(data, stage),
        cost=data.costs.get(stage),
    )


def _median(data: ReportData, stage: str, key: str, text: str) -> str:
    values = [value for _, value in data.of_stage(stage, key)]
    return text.format(median(values)).replace("%", "\u00a0%") if values else "–"


def _last_figure(data: ReportData, stage: str) -> str:
    key, text = ("heldout_nme", "NME {:.3f} %")
    if stage not in COORDINATE_STAGES:
        key, text = ("heldout_loss", "Eq. 2 loss {:.5f}")
    values = data.of_stage(stage, key)
    return text.format(values[-1][1]) if values else "–"
