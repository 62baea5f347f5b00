"""What is to be known of a run as it lies on disk: damage, why it ended, whether it diverged."""

from collections.abc import Sequence
from typing import Any

from sesame_hpc.choices import STAGES
from sesame_hpc.plural import counted
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import stage_damage
from sesame_hpc.training.records import MetricsLog

__all__ = ["run_notes", "run_problems"]


def run_problems(folder: RunFolder) -> list[str]:
    """A sentence each; [] for a run that is whole and was not ended by an error."""
    found = [
        f"{problem}. `sesame train` with the run's own config makes it again."
        for stage in STAGES
        for problem in stage_damage(folder, stage)
    ]
    if not folder.metrics_file.exists():
        return found
    damaged = MetricsLog.damaged_lines(folder.metrics_file)
    if damaged:
        lines = counted(len(damaged), "line")
        found.append(f"{folder.metrics_file}: {lines} damaged and left out, the first {damaged[0]}")
    records = MetricsLog.read(folder.metrics_file)
    if records and "error" in records[-1]:
        found.append(f"{records[-1]['stage']} ended: {records[-1]['error']}")
    return found


def run_notes(records: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence each time that a stage diverged and went on, or went back; from its records."""
    return [f"{record['stage']}: {record['note']}" for record in records if "note" in record]
