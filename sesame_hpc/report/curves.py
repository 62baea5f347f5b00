"""The training curves of a run, all over the same axis of steps."""

from collections.abc import Sequence
from typing import Any

from sesame_hpc.choices import COORDINATE_STAGES
from sesame_hpc.report.charts import curve_chart
from sesame_hpc.report.report_data import ReportData

__all__ = ["training_curves"]


def training_curves(data: ReportData) -> list[dict[str, Any]]:
    """The curves that have values: caption (`title`), `chart`, and the stages in it (`keys`)."""

    def of(key: str, stages: Sequence[str]) -> dict[str, Any]:
        return {stage: data.of_stage(stage, key) for stage in stages}

    pretrain = of("loss", ["pretrain"]) | {
        "pretrain heldout": data.of_stage("pretrain", "heldout_loss")
    }
    nme = of("heldout_nme", COORDINATE_STAGES)
    wanted = [
        ("Held-out NME", nme, "NME (%)", False),
        ("Coordinate loss, L1", of("loss", COORDINATE_STAGES), "loss (crop sides)", True),
        ("Reconstruction loss, Eq. 2", pretrain, "loss", True),
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
