"""What the page shows of one evaluated part: tables, charts, maps, and their numbers as CSV."""

from collections.abc import Sequence
from typing import Any

from sesame_hpc.choices import COORDINATE_STAGES
from sesame_hpc.evaluation.mean_shape import shape_of_faces
from sesame_hpc.report.charts import ced_chart, ced_limit, landmark_chart, largest_nme
from sesame_hpc.report.downloads import landmark_csv, rate_csv, region_csv
from sesame_hpc.report.face_map import FaceMap, face_map, largest_change
from sesame_hpc.report.report_data import EvaluatedPart, ReportData
from sesame_hpc.report.summary_text import verdict
from sesame_hpc.report.tables import overall_rows, region_rows

__all__ = ["part_contexts"]

Landmarks = dict[str, list[float | None]]


def part_contexts(data: ReportData) -> list[dict[str, Any]]:
    """The parts, the test part first. Charts of the same kind have the same axes."""
    parts = data.parts[::-1]
    landmarks = [_landmarks(part) for part in parts]
    most = max((largest_nme(each) for each in landmarks if each), default=0.0)
    limit = ced_limit([nme for part in parts for nme in part.face_nme.values()])
    maps = _maps(data, parts, landmarks)
    return [
        _part(data, part) | _charts(data, part, its, most, limit) | {"map": drawn}
        for part, its, drawn in zip(parts, landmarks, maps, strict=True)
    ]


def _landmarks(part: EvaluatedPart) -> Landmarks:
    """Landmarks with a known NME, by stage."""
    return {
        stage: figures["landmarks"]
        for stage, figures in part.figures.items()
        if any(nme is not None for nme in figures.get("landmarks", ()))
    }


def _part(data: ReportData, part: EvaluatedPart) -> dict[str, Any]:
    last = list(part.figures)[-1]
    return {
        "name": part.name,
        "verdict": verdict(part),
        "last": last,
        "figures": part.figures,
        "total": next(row for row in region_rows(data, part) if row.is_total),
        "ema": part.ema and _regions(data, part.ema, f"regions-{part.name}-ema"),
        "overall": overall_rows(part),
        "rate_csv": rate_csv(f"rates-{part.name}", part),
        "protocol": part.figures[last].get("protocol", {}),
        "normalised_by": part.figures[last].get("normalised_by", {}),
    } | _regions(data, part, f"regions-{part.name}")


def _regions(data: ReportData, part: EvaluatedPart, file: str) -> dict[str, Any]:
    rows = region_rows(data, part)
    return {
        "title": part.title,
        "count": part.count,
        "faces_text": part.faces_text,
        "stages": data.config.stages.coordinate,
        "change": part.change,
        "regions": rows,
        "region_csv": region_csv(file, data.config.stages.coordinate, rows),
    }


def _charts(
    data: ReportData, part: EvaluatedPart, landmarks: Landmarks, most: float, limit: float
) -> dict[str, Any]:
    what = f"on {part.faces_text}"
    regions = {point: name for name, points in data.scheme.regions.items() for point in points}
    chart = landmarks and landmark_chart(landmarks, data.scheme, f"NME per landmark {what}", most)
    ced = part.points and ced_chart(part.face_nme, f"Cumulative error distribution {what}", limit)
    return {
        "landmarks": landmarks,
        "landmark_chart": chart,
        "landmark_csv": landmark_csv(f"landmarks-{part.name}", landmarks, data.scheme),
        "landmark_regions": [regions[point] for point in range(data.scheme.num_landmarks)],
        "ced": ced,
    }


def _maps(
    data: ReportData, parts: Sequence[EvaluatedPart], landmarks: Sequence[Landmarks]
) -> list[FaceMap | None]:
    """One mean shape, one scale and one range of colours for all parts."""
    faces = next((part.faces for part in parts if part.faces is not None), None)
    shape = None if faces is None else shape_of_faces(faces)
    if shape is None:
        return [None] * len(parts)
    changes = [
        largest_change(*its.values()) for its in landmarks if len(its) == len(COORDINATE_STAGES)
    ]
    fullest = max((each for each in changes if each is not None), default=None)
    reach = max((largest_nme(its) for its in landmarks if its), default=0.0) / 100
    drawn: list[FaceMap | None] = []
    for part, its in zip(parts, landmarks, strict=True):
        if not its:
            drawn.append(None)
            continue
        values = list(its.values())
        before = values[0] if len(values) > 1 else None
        title = f"Map of the error of each landmark on {part.faces_text}"
        drawn.append(face_map(shape, data.scheme, values[-1], before, title, reach, fullest))
    return drawn
