"""The training curves of a run, all over the same axis of steps."""

from collections.abc import Sequence
from typing import Any

from sesame_hpc.choices import COORDINATE_STAGES
from sesame_hpc.report.charts import curve_chart
from sesame_hpc.report.report_data import ReportData

__all__ = ["training_curves"]

_TERMS = {
    "l1": "L1",
    "smooth_l1": "smooth L1",
    "wing": "wing",
    "heatmap": "heat map",
    "star": "STAR",
}


def training_curves(data: ReportData) -> list[dict[str, Any]]:
    """The curves that have values: caption (`title`), `chart`, and the stages in it (`keys`)."""

    def of(key: str, stages: Sequence[str]) -> dict[str, Any]:
        return {stage: data.of_stage(stage, key) for stage in stages}

    pretrain = of("loss", ["pretrain"]) | {
        "pretrain heldout": data.of_stage("pretrain", "heldout_loss")
    }
    nme = of("heldout_nme", COORDINATE_STAGES)
    terms = [_TERMS.get(name, str(data.config.loss.extra)) for name in data.config.loss.terms]
    unit = "loss (crop sides)" if terms == ["L1"] else "loss"
    wanted = [
        ("Held-out NME", nme, "NME (%)", False),
        (f"Coordinate loss: {' + '.join(terms)}", of("loss", COORDINATE_STAGES), unit, True),
        (_of_pretrain(data), pretrain, "loss", True),
        ("Learning rate", of("lr", data.stages), "learning rate", True),
    ]
    every = [curve for _, curves, _, _ in wanted for curve in curves.values()]
    steps = max((step for curve in every for step, _ in curve), default=1)
    drawn = []
    for title, curves, label, log in wanted:
        what = f"{title} over optimizer steps"
        chart = curve_chart(curves, label, what, steps, log=log, dots=curves is nme)
        if chart is not None:
            keys = [css for css, curve in curves.items() if curve]
            drawn.append({"title": title, "chart": chart, "keys": keys})
    return drawn


def _of_pretrain(data: ReportData) -> str:
    also = " + landmarks" if data.config.stages.pretrain.landmark_weight else ""
    return f"Reconstruction loss: Eq. 2{also}"
