"""The forest plot of comparisons, and the styles that tell their arms apart."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from sesame_hpc.report.svg import Chart, Margins, bounds

__all__ = ["STYLES", "arm_style", "forest"]

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
