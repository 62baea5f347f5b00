"""The sentences of a report: the run's progress, and what its figures mean."""

from sesame_hpc.choices import COORDINATE_STAGES
from sesame_hpc.evaluation.seeds import ONE_SEED
from sesame_hpc.report.report_data import EvaluatedPart, ReportData

__all__ = ["progress", "verdict"]


def progress(data: ReportData) -> str | None:
    """The progress of an unfinished run; None for a finished one."""
    if not data.unfinished:
        return None
    return "; ".join(_stage_progress(data, stage) for stage in data.stages) + "."


def _stage_progress(data: ReportData, stage: str) -> str:
    if stage in data.results:
        return f"{stage} has finished"
    steps = data.of_stage(stage, "loss")
    if not steps:
        return f"{stage} has not started"
    epoch = max(record["epoch"] for record in data.records if record["stage"] == stage)
    epochs = getattr(data.config.stages, stage).epochs
    return f"{stage} is at step {steps[-1][0]:,}, in epoch {epoch} of {epochs}"


def verdict(part: EvaluatedPart) -> str:
    """The part's result in a few sentences; the last one says what a single run cannot show."""
    before, after = (part.figures.get(stage) for stage in COORDINATE_STAGES)
    where = part.faces_text
    if before is None or after is None:
        stage, figures = next(iter(part.figures.items()))
        nme = f"{figures['nme']:.3f}\u00a0%{_bounds(figures)}"
        return f"After {stage} the NME on {where} is {nme}. {ONE_SEED}."
    change = after["nme"] - before["nme"]
    side = "above" if change > 0 else "below"
    first = (
        f"After finetune the NME on {where} is {after['nme']:.3f}\u00a0%{_bounds(after)}, "
        f"{abs(change):.3f} percentage points {side} preliminary’s {before['nme']:.3f}\u00a0%."
    )
    return " ".join(filter(None, [first, _meaning(part), f"{ONE_SEED}."]))


def _bounds(figures: dict) -> str:
    interval = figures.get("intervals", {}).get("nme")
    return f" (95\u00a0% interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""


def _meaning(part: EvaluatedPart) -> str:
    if part.change is None:
        return ""
    low, high = part.change["nme"]["interval"]
    bounds = f"{low:+.3f} to {high:+.3f}".replace("-", "−")
    paired = f"The paired 95\u00a0% interval of the change, {bounds},"
    if low <= 0.0 <= high:
        return f"{paired} includes 0: these faces show no difference between the two networks."
    return f"{paired} excludes 0: on such faces these two networks differ."
