"""From a run's data to the HTML of its page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sesame_hpc import __version__
from sesame_hpc.inference.calibration import THRESHOLD
from sesame_hpc.plural import counted
from sesame_hpc.report.curves import training_curves
from sesame_hpc.report.downloads import masking_csv, stage_csv
from sesame_hpc.report.environment import page_environment, style
from sesame_hpc.report.images import chosen_faces, reconstruction_strips
from sesame_hpc.report.part_context import part_contexts
from sesame_hpc.report.published import PUBLISHED, incomparable, placed
from sesame_hpc.report.reliability import (
    Spreads,
    reliabilities,
    reliability_chart,
    reliability_csv,
)
from sesame_hpc.report.report_data import EvaluatedPart, ReportData
from sesame_hpc.report.setup import command_lines, data_rows
from sesame_hpc.report.summary_text import progress
from sesame_hpc.report.tables import masking_rows, stage_rows
from sesame_hpc.training.problems import run_notes

__all__ = ["render"]

_FACES = 6


def render(data: ReportData) -> str:
    """The whole page as HTML."""
    page = page_environment().get_template("page.html.j2")
    return page.render(**_context(data), style=style())


def _context(data: ReportData) -> dict[str, Any]:
    parts, masking, stages = data.parts[::-1], masking_rows(data), stage_rows(data)
    reconstructions, damaged = _reconstructions(data.folder.images)
    return {
        "name": data.folder.path.resolve().name,
        "version": __version__,
        "made": datetime.now(UTC),
        "scheme": data.scheme,
        "seed": data.config.seed,
        "train_faces": _train_faces(data),
        "progress": progress(data),
        "unread": data.unread,
        "masks": "pretrain" in data.stages,
        "problems": [*data.problems, *damaged],
        "notes": run_notes(data.records),
        "parts": part_contexts(data),
        "published": _published(data),
        "confidence": _confidence(data),
        "masking": masking,
        "masking_csv": masking_csv("masking", masking),
        "masking_settings": data.config.masking,
        "reconstructions": reconstructions,
        "faces": _faces(parts[0]) if parts else None,
        "curves": training_curves(data),
        "stage_rows": stages,
        "stage_csv": stage_csv("stages", stages),
        "total_seconds": sum(result["seconds"] for result in data.results.values()),
        "config": data.folder.config_file.read_text("utf-8"),
        "starts": data.starts,
        "commands": command_lines(data.starts),
        "data_rows": data_rows(data.identity),
    }


def _train_faces(data: ReportData) -> str | None:
    """How many there are, with and without labels; None where that is not known."""
    if not data.train_faces:
        return None
    kind = "training face" if data.config.data.labels is None else "labelled training face"
    unlabelled = data.results.get("pretrain", {}).get("unlabelled", 0)
    more = f" · {unlabelled:,} unlabelled in pretrain" if unlabelled else ""
    return counted(data.train_faces, kind) + more


def _published(data: ReportData) -> dict[str, Any]:
    tested = next((part for part in data.parts if part.name == "test"), None)
    figures = {} if tested is None else tested.figures
    last = list(figures.values())[-1] if figures else None
    reason = incomparable(data.scheme.name, last)
    averaged = tested.ema.figures if tested and tested.ema else {}
    return {
        "reason": reason,
        "rows": placed(figures, averaged, _crops(last)) if reason is None else list(PUBLISHED),
        "shown": data.scheme.name == "wflw98",
    }


def _crops(figures: dict[str, Any] | None) -> str:
    return (figures or {}).get("protocol", {}).get("box", "not recorded")


def _reconstructions(images: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The latest sheet of the pretrain stage that is whole; what is wrong with later ones."""
    damaged = []
    for sheet in sorted(images.glob("pretrain-epoch-[0-9]*.png"), reverse=True):
        try:
            strips = reconstruction_strips(sheet)
        except ValueError as error:
            damaged.append(str(error))
        else:
            return {"epoch": int(sheet.stem.rsplit("-", 1)[1]), "strips": strips}, damaged
    return None, damaged


def _faces(part: EvaluatedPart) -> dict[str, Any] | None:
    """Worst, median and best faces of the last finished stage, or why there are none."""
    if not part.points:
        return None
    stage = list(part.points)[-1]
    try:
        worst, median, best = chosen_faces(part, stage, _FACES)
    except ValueError as error:
        return {"reason": str(error)}
    return {
        "reason": None,
        "stage": stage,
        "part": part,
        "rows": {
            f"Highest NME of {part.faces_text}": worst,
            "Around the median": median,
            "Lowest NME": best,
        },
    }


def _confidence(data: ReportData) -> dict[str, Any] | None:
    """How confidences made of the last finished stage's spreads hold; None without spreads."""
    parts = {part.name: part for part in data.parts if part.spread}
    if "heldout" not in parts:
        return None
    stage = list(parts["heldout"].spread)[-1]
    spreads = {
        name: Spreads(name, part.title, part.faces, part.points[stage], part.spread[stage])
        for name, part in parts.items()
        if part.faces is not None and stage in part.spread
    }
    try:
        found = reliabilities(spreads["heldout"], spreads.get("test"))
    except ValueError as error:
        return {"reason": str(error)}
    title = f"Share of landmarks within {THRESHOLD:g} % over their confidence"
    return {
        "reason": None,
        "stage": stage,
        "threshold": THRESHOLD,
        "parts": found,
        "chart": reliability_chart(found, title),
        "csv": reliability_csv("confidence", found),
    }
