"""The charts of a study: the forest plot of its comparisons, the learning curves of its arms."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from sesame_hpc.report.svg import Chart, Margins, bounds

__all__ = ["STYLES", "arm_style", "forest", "learning_curves"]

STYLES = 8
"""The number of arms with a colour and dashes of their own in the style sheet; others repeat."""

_WIDTH, _ROW, _HEAD, _FOOT = 460, 46, 14, 44
_NAME, _EDGE = 10, 14


def arm_style(arms: Sequence[str], arm: str) -> str:
    """The style class of an arm, by its position among `arms`."""
    return f"arm{list(arms).index(arm) % STYLES}"


def forest(comparisons: Sequence[dict[str, Any]], title: str) -> Markup:
    """One row per comparison: its name, a bar and a dot for all seeds, and below a dot per seed.

    Differences are in percentage points. One seed has its own dot alone.
    """
    low, high = _range(comparisons)
    height = _HEAD + _ROW * len(comparisons) + _FOOT
    chart = Chart(
        title,
        _WIDTH,
        height,
        (low, high),
        (0.0, 1.0),
        margins=Margins(left=_NAME, right=_EDGE, top=_HEAD, bottom=_FOOT),
    )
    chart.x_axis("difference in NME, percentage points (left of 0: lower with the arm)")
    chart.line_at(0.0, "mark")
    for row, each in enumerate(comparisons):
        y = _HEAD + _ROW * row
        chart.label(_NAME, y + 14, f"{row + 1}  {each['arm']} − {each['control']}", "name")
        _row(chart, each, y + 31)
    return chart.render()


def _row(chart: Chart, comparison: dict[str, Any], y: float) -> None:
    nme = comparison["nme"]
    if nme["interval"] is not None:
        css = "range open" if nme["side"] == "open" else "range"
        low, high = nme["interval"]
        chart.bar(low, high, y, css)
        chart.dot(nme["mean"], y, "all")
    for own in comparison["by_seed"].values():
        chart.dot(own["difference"], y + 8, "seed")


def _range(comparisons: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Holds 0, every seed and every interval, with some room."""
    values = [0.0]
    for each in comparisons:
        values += [own["difference"] for own in each["by_seed"].values()]
        values += each["nme"]["interval"] or [each["nme"]["mean"]]
    low, high = bounds(values)
    room = 0.06 * (high - low)
    return low - room, high + room


def learning_curves(arms: dict[str, dict[str, Any]], title: str) -> Markup | None:
    """Held-out NME over training samples: one line per arm, the mean over its seeds.

    Pretrain, which has no NME, is a straight line. None if nothing was recorded.
    """
    curves = {name: _mean_curve(arm) for name, arm in arms.items()}
    drawn = {name: curve for name, curve in curves.items() if curve}
    if not drawn:
        return None
    low, high = bounds(nme for curve in drawn.values() for _, nme in curve)
    most = max(samples for curve in drawn.values() for samples, _ in curve)
    chart = Chart(
        title,
        940,
        400,
        (0.0, float(most)),
        (low / 1.06, high * 1.06),
        log_y=True,
        margins=Margins(right=34),
    )
    chart.axes("training samples", "held-out NME (%)")
    for name, curve in list(drawn.items())[::-1]:
        css = arm_style(list(arms), name)
        chart.line(curve, css)
        chart.dots(curve[-1:], css)
    return chart.render()


def _mean_curve(arm: dict[str, Any]) -> list[tuple[float, float]]:
    """The mean NME at the numbers of samples at which all of the arm's runs were validated."""
    runs = [dict(map(tuple, run["curve"])) for run in arm["runs"].values()]
    if not runs:
        return []
    places = sorted(set.intersection(*(set(run) for run in runs)))
    return [(place, sum(run[place] for run in runs) / len(runs)) for place in places]
