"""From a study's numbers to the text of its page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from sesame_hpc import __version__
from sesame_hpc.plural import counted
from sesame_hpc.report.charts import change_mark, readable, whiskers
from sesame_hpc.report.comparison_words import meaning, statement
from sesame_hpc.report.environment import page_environment, style
from sesame_hpc.report.forest import arm_style, forest
from sesame_hpc.study.charts import learning_curves
from sesame_hpc.study.words import PARTS, WEIGHTS, completeness

__all__ = ["render"]


def render(study: dict[str, Any], definition: str) -> str:
    """The page as HTML of `study`, as `collect` gives it; `definition` is the study as YAML."""
    page = page_environment("sesame_hpc.study").get_template("study.html.j2")
    comparisons = study["comparisons"]
    return page.render(
        study=study,
        definition=definition,
        version=__version__,
        made=datetime.now(UTC),
        style=style(),
        part=PARTS[study["part"]],
        weights=WEIGHTS[study["weights"]],
        counted=counted,
        meaning=meaning,
        css=lambda arm: arm_style(list(study["arms"]), arm),
        progress=completeness(study),
        statements=[statement(each) for each in comparisons],
        forest=comparisons and forest(comparisons, "Paired differences in NME"),
        curves=learning_curves(study["arms"], "Held-out NME over training samples"),
        region_tables=[_regions(study, each) for each in comparisons],
        arm_settings={name: _flat(arm["settings"]) for name, arm in study["arms"].items()},
    )


def _regions(study: dict[str, Any], comparison: dict[str, Any]) -> dict[str, Any]:
    """One comparison region by region; the NME of both are means over the arm's own seeds."""
    arm, control = comparison["arm"], comparison["control"]
    every = [*comparison["regions"].values(), comparison["nme"]]
    scale = whiskers([each["interval"] for each in every if each["interval"]] or [[-1.0, 1.0]])
    rows = []
    for name in (*study["regions"], None):
        change = comparison["nme"] if name is None else comparison["regions"][name]
        interval = change["interval"]
        rows.append(
            {
                "name": "all points" if name is None else readable(name),
                "arm": _mean(study["arms"][arm], name),
                "control": _mean(study["arms"][control], name),
                "difference": change["mean"],
                "interval": interval,
                "mark": interval and change_mark(change["mean"], interval, scale),
            }
        )
    return {"title": f"{arm} and {control}", "arm": arm, "control": control, "rows": rows}


def _mean(arm: dict[str, Any], region: str | None) -> float:
    return float((arm["nme"] if region is None else arm["regions"][region])["mean"])


def _flat(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(settings), default_flow_style=True, width=10_000).strip("{}\n")
