"""Notes on tables of `results/`: what to know about rows that older code gave."""

import textwrap
from pathlib import Path

import yaml

from benchmarks.common.paths import RESULTS

__all__ = ["NOTES", "note_on", "read_notes"]

NOTES = RESULTS / "notes.yaml"


def read_notes() -> dict[str, str]:
    """{name of a table without its suffix: note}."""
    return yaml.safe_load(NOTES.read_text(encoding="utf-8")) or {}


def note_on(table: Path) -> list[str]:
    """The note on a table as a paragraph of Markdown, in a list; [] if there is none."""
    note = read_notes().get(table.stem)
    return [] if note is None else [textwrap.fill(note, 100, break_on_hyphens=False) + "\n"]
