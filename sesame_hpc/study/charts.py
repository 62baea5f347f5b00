"""A study's drawings: the forest of its comparisons, and the learning curves of its arms."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from sesame_hpc.report.svg import Chart, Margins, bounds

__all__ = ["STYLES", "arm_style", "forest", "learning_curves"]

STYLES = 8
"""How many arms the style sheet tells apart, by colour and dashes; further ones repeat."""

_WIDTH, _ROW, _HEAD, _FOOT = 460, 46, 14, 44
_NAME, _EDGE = 10, 14


def arm_style(arms: Sequence[str], arm: str) -> str:
    """The style class of an arm, by its place among them."""
    return f"arm{list(arms).index(arm) % STYLES}"


def forest(comparisons: Sequence[dict[str, Any]], title: str) -> Markup:
    """A row a comparison: its name, small dots for seeds, a large one and a bar for all of them.

    Differences in percentage points. Without an interval (one seed) there is the small dot alone.
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
    chart.x_axis("difference in NME, percentage points (left of 0: the arm errs less)")
    chart.line_at(0.0, "mark")
    for row, each in enumerate(comparisons):
        y = _HEAD + _ROW * row
        chart.label(_NAME, y + 14, f"{row + 1}  {each['arm']} − {each['control']}", "name")
        _row(chart, each, y + 31)
    return chart.render()


def _row(chart: Chart, comparison: dict[str, Any], y: float) -> None:
    nme = comparison["nme"]
    for own in comparison["by_seed"].values():
        chart.dot(own["difference"], y, "seed")
    if nme["interval"] is None:
        return
    css = "range open" if nme["side"] == "open" else "range"
    low, high = nme["interval"]
    chart.bar(low, high, y, css)
    chart.dot(nme["mean"], y, "all")


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
    """Held-out NME over training samples: a line an arm, the mean over its seeds.

    A stage that trains for no landmarks leaves a straight piece. None where nothing was recorded.
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
    """The mean NME where all of the arm's finished runs have been measured."""
    runs = [dict(map(tuple, run["curve"])) for run in arm["runs"].values()]
    if not runs:
        return []
    places = sorted(set.intersection(*(set(run) for run in runs)))
    return [(place, sum(run[place] for run in runs) / len(runs)) for place in places]
