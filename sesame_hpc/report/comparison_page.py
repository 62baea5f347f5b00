"""The page of several runs: from their data to its HTML."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sesame_hpc import __version__
from sesame_hpc.choices import COORDINATE_STAGES, Part
from sesame_hpc.config.load import settings_that_differ
from sesame_hpc.evaluation.mean_shape import shape_of_faces
from sesame_hpc.plural import counted
from sesame_hpc.report.charts import (
    Curve,
    ced_chart,
    ced_limit,
    curve_chart,
    landmark_chart,
    largest_nme,
)
from sesame_hpc.report.compared_runs import ComparedRun, Group, common_part, grouped
from sesame_hpc.report.comparison import comparisons, group_figures, landmark_means
from sesame_hpc.report.comparison_tables import compared_regions, region_csv, run_csv, run_rows
from sesame_hpc.report.comparison_words import meaning, statement
from sesame_hpc.report.environment import page_environment, style
from sesame_hpc.report.face_map import face_map, largest_change
from sesame_hpc.report.forest import arm_style, forest
from sesame_hpc.report.report_data import PARTS
from sesame_hpc.report.setup import command_lines, data_rows, revision
from sesame_hpc.report.summary_text import progress

__all__ = ["render_comparison"]

_OWN = ("output", "seed")


def render_comparison(runs: Sequence[ComparedRun]) -> str:
    """The page as HTML, of at least two runs with the same landmarks."""
    page = page_environment().get_template("comparison.html.j2")
    return page.render(**_context(runs), style=style())


def _context(runs: Sequence[ComparedRun]) -> dict[str, Any]:
    part, groups = common_part(runs), grouped(runs)
    names = [group.name for group in groups]
    group_of = {run.name: group.name for group in groups for run in group.runs}

    def css(name: str) -> str:
        return arm_style(names, group_of.get(name, name))

    return {
        "version": __version__,
        "made": datetime.now(UTC),
        "runs": runs,
        "groups": groups,
        "css": css,
        "counted": counted,
        "as_setting": as_setting,
        "meaning": meaning,
        "scheme": runs[0].data.scheme,
        "notes": _notes(runs),
        "part": part and PARTS[part],
        "curves": _curves(runs, css),
        "differing": settings_that_differ([run.data.config for run in runs], leave_out=_OWN),
        "commands": {run.name: command_lines(run.data.starts) for run in runs},
        "data_rows": {run.name: data_rows(run.data.identity) for run in runs},
        "machines": {run.name: _machine(run) for run in runs},
        **(_figures(runs, groups, part, css) if part else {"figures": None}),
    }


def as_setting(value: Any) -> str:
    """A setting's value as YAML has it on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _notes(runs: Sequence[ComparedRun]) -> list[str]:
    notes = []
    for run in runs:
        if text := progress(run.data):
            notes.append(f"{run.name} is not finished: {text}")
        notes += [f"{run.name}: {problem}" for problem in run.data.problems]
        if run.data.unread:
            notes.append(f"{run.name}: {run.data.unread}.")
    return notes


def _figures(
    runs: Sequence[ComparedRun], groups: Sequence[Group], part: Part, css: Any
) -> dict[str, Any]:
    regions = list(runs[0].data.scheme.regions)
    found = [each for group in groups if (each := group_figures(group, part, regions))]
    compared, problems = comparisons(groups, part, regions)
    rows = run_rows(runs, part)
    tables = compared_regions(found, compared, regions)
    return {
        "figures": found,
        "run_rows": rows,
        "run_csv": run_csv("runs", rows),
        "comparisons": compared,
        "uncompared": problems,
        "statements": [statement(each) for each in compared],
        "forest": compared and forest(compared, "Paired differences in NME"),
        "region_rows": tables,
        "region_csv": region_csv("regions", found, compared, regions),
        "ced": _ced(runs, part, css),
        "landmark_chart": _landmarks(groups, part, css),
        "maps": _maps(groups, part),
    }


def _ced(runs: Sequence[ComparedRun], part: Part, css: Any) -> Any:
    """Runs with one style are drawn one after the other: each has a class of its own."""
    values = {}
    for number, run in enumerate(runs):
        if (read := run.errors(part)) is not None:
            values[f"{css(run.name)} run{number}"] = read[0][:, 0]
    if not values:
        return None
    return ced_chart(
        values, f"Cumulative error distribution on {PARTS[part]} faces", ced_limit(values.values())
    )


def _landmarks(groups: Sequence[Group], part: Part, css: Any) -> Any:
    lines = {
        css(group.name): means
        for group in groups
        if (means := landmark_means(group, part)) is not None
    }
    if not lines:
        return None
    scheme = groups[0].runs[0].data.scheme
    title = f"NME per landmark on {PARTS[part]} faces"
    return landmark_chart(lines, scheme, title, largest_nme(lines))


def _maps(groups: Sequence[Group], part: Part) -> list[dict[str, Any]]:
    """A map of each configuration but the first, with the difference from it as colour."""
    every = {group.name: landmark_means(group, part) for group in groups}
    read = [run.part(part) for group in groups for run in group.runs]
    faces = next((each.faces for each in read if each and each.faces is not None), None)
    shape = None if faces is None else shape_of_faces(faces)
    control = every[groups[0].name]
    if shape is None or control is None:
        return []
    others = {name: nme for name, nme in every.items() if nme and nme is not control}
    changes = [largest_change(control, nme) for nme in others.values()]
    fullest = max((each for each in changes if each is not None), default=None)
    reach = largest_nme({"control": control, **others}) / 100
    scheme = groups[0].runs[0].data.scheme
    return [
        {
            "name": name,
            "control": groups[0].name,
            "map": face_map(
                shape, scheme, nme, control, f"Map of errors of {name}", reach, fullest
            ),
        }
        for name, nme in others.items()
    ]


def _curves(runs: Sequence[ComparedRun], css: Any) -> list[dict[str, Any]]:
    """The held-out NME of each stage over its steps; both charts have the same axes."""
    curves: dict[str, dict[str, Curve]] = {
        stage: {
            f"{css(run.name)} run{number}": [*run.data.of_stage(stage, "heldout_nme")]
            for number, run in enumerate(runs)
        }
        for stage in COORDINATE_STAGES
    }
    every = [curve for lines in curves.values() for curve in lines.values() if curve]
    if not every:
        return []
    steps = max(step for curve in every for step, _ in curve)
    values = [nme for curve in every for _, nme in curve]
    drawn = []
    for stage, lines in curves.items():
        title = f"Held-out NME of {stage} over optimizer steps"
        chart = curve_chart(lines, "NME (%)", title, steps, log=True, dots=True, among=values)
        if chart is not None:
            drawn.append({"title": title, "chart": chart})
    return drawn


def _machine(run: ComparedRun) -> dict[str, str]:
    """What may explain a difference: code, versions, machine."""
    if not run.data.starts:
        return {}
    start = run.data.starts[-1]
    packages = start.get("packages", {})
    named = {
        "sesame-hpc": packages.get("sesame-hpc"),
        "revision": revision(start),
        "torch": packages.get("torch"),
        "GPUs": ", ".join(start.get("gpus") or ()),
        "CPU": start.get("cpu"),
        "host": start.get("host"),
        "directory": start.get("directory"),
        "run folder": str(Path(run.data.folder.path).resolve()),
    }
    return {name: str(value) for name, value in named.items() if value}
