"""A study's numbers and page as files."""

from pathlib import Path
from typing import Any

import yaml

from sesame_hpc.files import write_json_atomic, write_text_atomic
from sesame_hpc.study.page import render
from sesame_hpc.study.plan import StudyPlan

__all__ = ["NUMBERS", "PAGE", "write_study"]

NUMBERS, PAGE = "study.json", "study.html"


def write_study(plan: StudyPlan, results: dict[str, Any]) -> tuple[Path, Path]:
    """Write `study.json` and `study.html` to the study's output; their paths."""
    numbers, page = plan.study.output / NUMBERS, plan.study.output / PAGE
    definition = yaml.safe_dump(
        plan.study.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True
    )
    write_json_atomic(numbers, results)
    write_text_atomic(page, render(results, definition))
    return numbers, page
