"""The last job of a chain: figures as `sesame eval` gives them, and the report page."""

import os
from pathlib import Path
from typing import Any

from sesame_hpc.data.formats.readers import has_part
from sesame_hpc.files import write_json_atomic
from sesame_hpc.launch.finished import EVALUATION
from sesame_hpc.report import write_report
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import run_scheme
from sesame_hpc.run.folder import RunFolder

__all__ = ["evaluate_and_report"]


def evaluate_and_report(folder: RunFolder) -> None:
    """Write `evaluation.json` and the page of a run whose stages are finished. Collective.

    {"part": "test" or "heldout", "stages": {stage: figures}}: of the test part if there is one,
    with "flip_test" and, where weights were averaged, "ema".
    """
    folder.check_earlier("report")
    config = run_config(folder)
    scheme, scored = run_scheme(config, folder), config.stages.coordinate
    if has_part(config.data, "test", scheme):
        evaluation = {"part": "test", "stages": {name: _test(folder, name) for name in scored}}
    else:
        results = {name: folder.result(name) or {} for name in scored}
        heldout = {name: result["heldout"] for name, result in results.items()}
        evaluation = {"part": "heldout", "stages": heldout}
    if os.environ.get("RANK", "0") == "0":
        write_json_atomic(folder.path / EVALUATION, evaluation)
        _print_summary(folder, evaluation, write_report(folder))


def _test(folder: RunFolder, stage: str) -> dict[str, Any]:
    from sesame_hpc.stages.evaluate import evaluate_run
    from sesame_hpc.stages.source import Source

    data = run_config(folder).data
    return evaluate_run(folder.path, Source(data.root, data.format, "test"), stage, flip=True)


def _print_summary(folder: RunFolder, evaluation: dict[str, Any], page: Path) -> None:
    from sesame_hpc.console import SafeConsole
    from sesame_hpc.stages.tables import print_figures

    console = SafeConsole()
    for name, figures in evaluation["stages"].items():
        print_figures(figures, f"{name} of {folder.path}, {evaluation['part']} part", console)
    console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
