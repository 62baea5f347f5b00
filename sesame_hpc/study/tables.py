"""A study as terminal tables of at most 80 columns."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sesame_hpc.evaluation.seeds import ONE_SEED
from sesame_hpc.plural import counted
from sesame_hpc.report.comparison_words import meaning, signed, signed_interval
from sesame_hpc.study.words import PARTS, WEIGHTS, completeness

__all__ = ["print_study"]

_COLUMNS = 6


def print_study(study: dict[str, Any], console: Console) -> None:
    """Arms, comparisons, differences per region; `study` as `collect` gives it."""
    if text := completeness(study):
        heading = Text.assemble(("This study is not finished:", "bold"), f" {text}.")
        console.print(heading, highlight=False)
    for table in _tables(study):
        console.print(table)
    if study["comparisons"]:
        console.print(_legend(study), highlight=False)


def _tables(study: dict[str, Any]) -> Iterator[Table]:
    yield _arms(study)
    if study["comparisons"]:
        yield _comparisons(study)
        for first in range(0, len(study["comparisons"]), _COLUMNS):
            yield _regions(study, first)


def _arms(study: dict[str, Any]) -> Table:
    what = f"{PARTS[study['part']]} faces, {WEIGHTS[study['weights']]}"
    table = Table(title=f"{study['study']}: NME (%) on {what}")
    table.add_column("arm", overflow="fold")
    for heading in ("seeds", "NME", "95 % interval", "samples", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, arm in study["arms"].items():
        if arm["nme"] is None:
            table.add_row(name, "0", "–", "–", "–", "–")
            continue
        interval = arm["nme"]["interval"]
        bounds = "–" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
        table.add_row(
            name,
            str(len(arm["runs"])),
            f"{arm['nme']['mean']:.3f}",
            bounds,
            f"{arm['samples']:,.0f}",
            f"{arm['seconds']:,.0f}",
        )
    return table


def _comparisons(study: dict[str, Any]) -> Table:
    table = Table(title="Paired differences in NME, percentage points")
    table.add_column("#", justify="right")
    table.add_column("arm − control", overflow="fold")
    for heading in ("diff.", "95 % interval", "samples", "result"):
        table.add_column(heading, justify="left" if heading == "result" else "right", no_wrap=True)
    for number, each in enumerate(study["comparisons"], start=1):
        table.add_row(
            str(number),
            f"{each['arm']}\n− {each['control']}",
            signed(each["nme"]["mean"]),
            signed_interval(each["nme"]["interval"]),
            f"× {each['samples']:.2f}",
            meaning(each),
        )
    return table


def _regions(study: dict[str, Any], first: int) -> Table:
    shown = study["comparisons"][first : first + _COLUMNS]
    table = Table(title="Differences per region (* interval excludes 0)")
    table.add_column("region", overflow="fold")
    for number in range(first + 1, first + len(shown) + 1):
        table.add_column(f"#{number}", justify="right", no_wrap=True)
    for region in study["regions"]:
        table.add_row(region, *(_marked(each["regions"][region]) for each in shown))
    table.add_section()
    table.add_row("all points", *(_marked(each["nme"]) for each in shown))
    return table


def _marked(difference: dict[str, Any]) -> str:
    mark = "*" if difference["side"] in ("lower", "higher") else " "
    return f"{signed(difference['mean'])}{mark}"


def _legend(study: dict[str, Any]) -> str:
    if all(each["nme"]["side"] == "one seed" for each in study["comparisons"]):
        return f"{ONE_SEED}. Give the study more seeds."
    seeds = counted(len(study["seeds"]), "seed")
    return (
        f"Negative: lower with the arm. Intervals resample {seeds} and the faces; about one in "
        "twenty excludes 0 by chance."
    )
