"""The learning curves of a study's arms."""

from typing import Any

from markupsafe import Markup

from sesame_hpc.report.forest import arm_style
from sesame_hpc.report.svg import Chart, Margins, bounds

__all__ = ["learning_curves"]


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
