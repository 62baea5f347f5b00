"""From a run's data to the HTML of its page."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sesame_hpc import __version__
from sesame_hpc.choices import COORDINATE_STAGES
from sesame_hpc.plural import counted
from sesame_hpc.report.charts import ced_chart, curve_chart, landmark_chart
from sesame_hpc.report.environment import page_environment, style
from sesame_hpc.report.images import extreme_faces, reconstruction_strips
from sesame_hpc.report.published import PUBLISHED, incomparable, placed
from sesame_hpc.report.report_data import EvaluatedPart, ReportData
from sesame_hpc.report.summary_text import progress, verdict
from sesame_hpc.report.tables import masking_rows, overall_rows, region_rows, stage_rows
from sesame_hpc.training.problems import run_notes

__all__ = ["render"]

_FACES = 6


def render(data: ReportData) -> str:
    """The whole page as HTML."""
    page = page_environment().get_template("page.html.j2")
    return page.render(**_context(data), style=style())


def _context(data: ReportData) -> dict[str, Any]:
    parts = data.parts[::-1]
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
        "problems": data.problems,
        "notes": run_notes(data.records),
        "parts": [_part(data, part) for part in parts],
        "published": _published(data),
        "masking": masking_rows(data),
        "masking_settings": data.config.masking,
        "reconstructions": _reconstructions(data.folder.images),
        "faces": _faces(parts[0]) if parts else None,
        "curves": _curves(data),
        "stage_rows": stage_rows(data),
        "total_seconds": sum(result["seconds"] for result in data.results.values()),
        "config": data.folder.config_file.read_text("utf-8"),
        "starts": data.starts,
    }


def _train_faces(data: ReportData) -> str | None:
    """How many there are, with and without labels; None where that is not known."""
    if not data.train_faces:
        return None
    kind = "training face" if data.config.data.labels is None else "labelled training face"
    unlabelled = data.results.get("pretrain", {}).get("unlabelled", 0)
    more = f" · {unlabelled:,} unlabelled in pretrain" if unlabelled else ""
    return counted(data.train_faces, kind) + more


def _part(data: ReportData, part: EvaluatedPart) -> dict[str, Any]:
    landmarks = {
        stage: figures["landmarks"]
        for stage, figures in part.figures.items()
        if "landmarks" in figures
    }
    last = list(part.figures)[-1]
    what = f"on {part.faces_text}"
    return {
        "name": part.name,
        "title": part.title,
        "count": part.count,
        "faces_text": part.faces_text,
        "verdict": verdict(part),
        "last": last,
        "figures": part.figures,
        "stages": data.config.stages.coordinate,
        "change": part.change,
        "regions": (regions := region_rows(data, part)),
        "total": next(row for row in regions if row.is_total),
        "ema": part.ema and _averaged(data, part.ema),
        "overall": overall_rows(part),
        "landmarks": landmarks,
        "landmark_chart": landmarks
        and landmark_chart(landmarks, data.scheme, f"NME per landmark {what}"),
        "landmark_regions": _landmark_regions(data),
        "ced": part.points and ced_chart(part.face_nme, f"Cumulative error distribution {what}"),
        "protocol": part.figures[last].get("protocol", {}),
        "normalised_by": part.figures[last].get("normalised_by", {}),
    }


def _averaged(data: ReportData, part: EvaluatedPart) -> dict[str, Any]:
    return {
        "title": part.title,
        "count": part.count,
        "faces_text": part.faces_text,
        "stages": data.config.stages.coordinate,
        "change": part.change,
        "regions": region_rows(data, part),
    }


def _landmark_regions(data: ReportData) -> list[str]:
    region_of = {point: name for name, members in data.scheme.regions.items() for point in members}
    return [region_of[point] for point in range(data.scheme.num_landmarks)]


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


def _reconstructions(images: Path) -> dict[str, Any] | None:
    """The latest sheet of the pretrain stage."""
    sheets = sorted(images.glob("pretrain-epoch-[0-9]*.png"))
    if not sheets:
        return None
    epoch = int(sheets[-1].stem.rsplit("-", 1)[1])
    return {"epoch": epoch, "strips": reconstruction_strips(sheets[-1])}


def _faces(part: EvaluatedPart) -> dict[str, Any] | None:
    """Worst and best faces of the last finished stage, or why there are none."""
    if not part.points:
        return None
    stage = list(part.points)[-1]
    try:
        worst, best = extreme_faces(part, stage, _FACES)
    except ValueError as error:
        return {"reason": str(error)}
    return {"reason": None, "stage": stage, "part": part, "worst": worst, "best": best}


def _curves(data: ReportData) -> list[dict[str, Any]]:
    """The training curves that have values: caption, chart, and the stages in it."""

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
    drawn = []
    for title, curves, label, log in wanted:
        what = f"{title} over optimizer steps"
        chart = curve_chart(curves, label, what, log=log, dots=curves is nme)
        if chart is not None:
            keys = [css for css, curve in curves.items() if curve]
            drawn.append({"title": title, "chart": chart, "keys": keys})
    return drawn
