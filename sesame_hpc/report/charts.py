"""The charts of a report: NME per landmark (Fig. 5), CED, training curves, changes by region."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
from markupsafe import Markup

from sesame_hpc.evaluation.curves import ced
from sesame_hpc.report.svg import Chart, Margins, Scale, bounds
from sesame_hpc.schemes import Scheme

__all__ = [
    "Curve",
    "ced_chart",
    "ced_limit",
    "change_mark",
    "curve_chart",
    "landmark_chart",
    "largest_nme",
    "readable",
    "whiskers",
]

_Value = TypeVar("_Value")
Curve = list[tuple[float, float]]

_MOST_POINTS = 240
_CED_STEPS = 200


def largest_nme(landmarks: dict[str, list[float | None]]) -> float:
    """The upper end of the axis that holds all of them."""
    return max(nme for values in landmarks.values() for nme in values if nme is not None)


def landmark_chart(
    landmarks: dict[str, list[float | None]], scheme: Scheme, title: str, most: float
) -> Markup:
    """NME per landmark (percent, K values) of each line, over bands of the scheme's regions.

    None is left out. `most` is the largest NME that the axis has room for.
    """
    runs = _region_runs(scheme)
    chart = Chart(
        title,
        940,
        380,
        (-0.5, scheme.num_landmarks - 0.5),
        (0.0, most * 1.06),
        margins=Margins(left=62, top=106, right=34),
    )
    for index, (first, last, _) in enumerate(runs):
        chart.band(first - 0.5, last + 0.5, "band" if index % 2 == 0 else "band other")
    ticks = [first for first, _, _ in runs] + [scheme.num_landmarks - 1]
    chart.axes("landmark", "NME (%)", _apart(ticks, chart.to_x, 20))
    for first, last, name in runs:
        chart.label(
            chart.to_x((first + last) / 2) - 2, chart.to_y.end - 8, readable(name), "name", turn=-42
        )
    for stage, values in _dashed_last(landmarks):
        for first, last, _ in runs:
            known = [(index, values[index]) for index in range(first, last + 1)]
            points = [(index, nme) for index, nme in known if nme is not None]
            if points:
                chart.line(points, stage)
                chart.dots(points, stage)
    return chart.render()


def _dashed_last(curves: dict[str, _Value]) -> list[tuple[str, _Value]]:
    """Later stages first, so that the dashed line of the first stage is drawn on top."""
    return list(curves.items())[::-1]


def readable(name: str) -> str:
    """A region's or a setting's name with spaces."""
    return name.replace("_", " ")


def _region_runs(scheme: Scheme) -> list[tuple[int, int, str]]:
    """Consecutive landmarks of one region: (first, last, region)."""
    region_of = {point: name for name, members in scheme.regions.items() for point in members}
    runs = []
    for name, group in groupby(range(scheme.num_landmarks), key=lambda point: region_of[point]):
        members = list(group)
        runs.append((members[0], members[-1], name))
    return runs


def _apart(ticks: Sequence[float], scale: Scale, least: float) -> list[float]:
    """The ticks that are at least `least` units after the one before them."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or scale(tick) - scale(kept[-1]) >= least:
            kept.append(tick)
    return kept


def ced_limit(face_nme: Iterable[np.ndarray]) -> float:
    """The NME at which the axis of CED charts ends: at most 40 %, and 97 % of the faces if less."""
    known = (values[~np.isnan(values)] for values in face_nme)
    tail = max((float(np.percentile(values, 97)) for values in known), default=0.0)
    return min(max(12.0, tail), 40.0)


def ced_chart(face_nme: dict[str, np.ndarray], title: str, limit: float) -> Markup:
    """Percentage of faces whose NME (percent) is at most x, for each line; NaN is left out.

    `limit` is the end of the axis, from `ced_limit`.
    """
    face_nme = {stage: values[~np.isnan(values)] for stage, values in face_nme.items()}
    thresholds = np.linspace(0.0, limit, _CED_STEPS + 1)
    chart = Chart(title, 460, 320, (0.0, limit), (0.0, 100.0))
    chart.axes("NME of a face (%)", "faces at or below (%)")
    for mark, side in ((8.0, "left"), (10.0, "right")):
        chart.vertical(mark, f"{mark:.0f} %", side)
    for stage, values in _dashed_last(face_nme):
        heights = 100.0 * ced(values, thresholds)
        chart.line(list(zip(thresholds.tolist(), heights.tolist(), strict=True)), stage)
    return chart.render()


def curve_chart(
    curves: dict[str, Curve],
    y_label: str,
    title: str,
    steps: float,
    log: bool = False,
    dots: bool = False,
    among: Sequence[float] = (),
) -> Markup | None:
    """Values over optimizer steps, from 0 to `steps`, by style class; None without values.

    The axis has room for the values `among` too, which are those of a chart beside this one.
    """
    curves = {css: _thinned(curve) for css, curve in curves.items() if curve}
    if not curves:
        return None
    values = [y for curve in curves.values() for _, y in curve]
    low, high = bounds([*values, *among], log)
    room = 0.04 * (high - low)
    span = (low / 1.1, high * 1.1) if log else (low - room, high + room)
    chart = Chart(title, 460, 260, (0.0, float(steps)), span, log_y=log)
    chart.axes("optimizer step", y_label)
    for css, curve in _dashed_last(curves):
        chart.line(curve, css)
        if dots or len(curve) == 1:
            chart.dots(curve, css)
    return chart.render()


def _thinned(curve: Curve) -> Curve:
    """Means of neighbours, so that at most `_MOST_POINTS` points remain."""
    size = -(-len(curve) // _MOST_POINTS)
    if size == 1:
        return curve
    groups = (curve[start : start + size] for start in range(0, len(curve), size))
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def whiskers(intervals: Sequence[Sequence[float]]) -> Scale:
    """One symmetric scale for the change of all regions, which includes every interval and zero."""
    most = max(abs(bound) for interval in intervals for bound in interval) or 1.0
    return Scale(-most, most, 4.0, 136.0)


def change_mark(difference: float, interval: Sequence[float], scale: Scale) -> Markup:
    """A small drawing for a table cell: the interval as a bar, the change as a dot, and zero."""
    low, high = interval
    css = "lower" if high < 0 else "higher" if low > 0 else "open"
    return Markup(
        '<svg class="whisker {}" viewBox="0 0 140 18" aria-hidden="true">'
        '<path class="zero" d="M{:.1f} 0V18"/><path class="span" d="M{:.1f} 9H{:.1f}"/>'
        '<circle cx="{:.1f}" cy="9" r="3.6"/></svg>'
    ).format(css, scale(0.0), scale(low), scale(high), scale(difference))
