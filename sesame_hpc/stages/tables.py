"""The output of `sesame eval`: terminal tables, JSON, CSV."""

import csv
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sesame_hpc.files import write_json_atomic, write_text_atomic
from sesame_hpc.plural import counted

__all__ = ["print_figures", "write_figures"]

_EXTRA_ROWS = {
    "flip_test": "all, flip test",
    "multi_scale": "all, several scales",
    "flip_test_multi_scale": "all, flip and scales",
    "ema": "all, EMA weights",
    "ema_flip_test": "all, EMA and flip",
    "ema_multi_scale": "all, EMA and scales",
    "ema_flip_test_multi_scale": "all, EMA, flip, scales",
}
_RATES = ("nme", "fr8", "fr10", "auc8", "auc10")


def print_figures(figures: dict[str, Any], what: str, console: Console) -> None:
    """Print overall figures, subsets, regions with intervals, and a comparison if there is one."""
    heading = Text.assemble((counted(figures["faces"], "face"), "bold"), f": {what}")
    console.print(heading, highlight=False, soft_wrap=True)
    for key, value in figures["protocol"].items():
        console.print(f"{key}: {value}", highlight=False, soft_wrap=True)
    console.print(_overall(figures))
    others = [f"{name} {nme:.3f}" for name, nme in figures["normalised_by"].items()]
    console.print("NME % by normaliser: " + ", ".join(others), highlight=False, soft_wrap=True)
    console.print(_regions(figures))
    if "compared" in figures:
        console.print(_compared(figures["compared"]))


def _overall(figures: dict[str, Any]) -> Table:
    table = Table(title="NME % (inter-ocular), failure rates %, AUC")
    table.add_column("faces of")
    table.add_column("number", justify="right")
    for heading in ("NME", "FR@8", "FR@10", "AUC@8", "AUC@10"):
        table.add_column(heading, justify="right")
    rows = {"all": figures, **figures["subsets"]}
    rows |= {f"data set {name}": row for name, row in figures.get("sources", {}).items()}
    rows |= {f"{name} points": row for name, row in figures.get("visibility", {}).items()}
    rows |= {name: figures[key] for key, name in _EXTRA_ROWS.items() if key in figures}
    for name, row in rows.items():
        table.add_row(name, str(row["faces"]), *(_rate(row.get(key), key) for key in _RATES))
    return table


def _rate(value: float | None, key: str) -> str:
    """Blank where there is none: a face has no failure rate by some of its points."""
    if value is None:
        return ""
    return f"{value:.3f}" if key in ("nme", "auc8", "auc10") else f"{value:.2f}"


def _regions(figures: dict[str, Any]) -> Table:
    table = Table(title="NME % per region")
    table.add_column("region")
    table.add_column("NME", justify="right")
    table.add_column("95 % interval", justify="right")
    bounds = figures["intervals"]
    for region, nme in figures["regions"].items():
        shown = "not labelled" if nme is None else f"{nme:.3f}"
        table.add_row(region, shown, _interval(bounds["regions"][region]))
    table.add_section()
    table.add_row("all points", f"{figures['nme']:.3f}", _interval(bounds["nme"]))
    return table


def _compared(compared: dict[str, Any]) -> Table:
    table = Table(title=f"NME of {compared['with']} minus this, percentage points")
    table.add_column("region")
    table.add_column("difference", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, row in {**compared["regions"], "all points": compared["nme"]}.items():
        if name == "all points":
            table.add_section()
        difference = row["difference"]
        shown = "not labelled" if difference is None else f"{difference:+.3f}"
        table.add_row(name, shown, _interval(row["interval"], sign="+"))
    return table


def _interval(bounds: list[float] | None, sign: str = "") -> str:
    if bounds is None:
        return ""
    return f"[{bounds[0]:{sign}.3f}, {bounds[1]:{sign}.3f}]"


def write_figures(figures: dict[str, Any], json_path: Path | None, csv_path: Path | None) -> None:
    """Write the figures as JSON, and as CSV with the columns kind, name, value, low, high.

    Kinds: overall (of the flip test: overall_flip_test, and so on), nme_normalised_by,
    nme_of_region, nme_of_landmark, faces_of_subset, nme_of_subset, ..., the same of_source (data
    set) and of_points (visible, occluded), and if two runs are compared difference and
    difference_of_region. A value that is not known is empty.
    """
    if json_path is not None:
        write_json_atomic(json_path, figures)
    if csv_path is not None:
        write_text_atomic(csv_path, _to_csv(figures))


def _to_csv(figures: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "name", "value", "low", "high"])
    bounds = figures["intervals"]
    writer.writerows(_overall_rows("overall", figures))
    for extra in (key for key in _EXTRA_ROWS if key in figures):
        writer.writerows(_overall_rows(f"overall_{extra}", figures[extra]))
    for name, nme in figures["normalised_by"].items():
        writer.writerow(["nme_normalised_by", name, nme, "", ""])
    for name, nme in figures["regions"].items():
        writer.writerow(["nme_of_region", name, nme, *(bounds["regions"][name] or ["", ""])])
    for point, nme in enumerate(figures["landmarks"]):
        writer.writerow(["nme_of_landmark", point, nme, "", ""])
    for what, group in (("subset", "subsets"), ("source", "sources"), ("points", "visibility")):
        for name, row in figures[group].items():
            its = row.get("intervals", {})
            for key in (each for each in row if each != "intervals"):
                limits = its.get(key) or ["", ""]
                writer.writerow([f"{key}_of_{what}", name, row[key], *limits])
    if "compared" in figures:
        change = figures["compared"]
        writer.writerow(["difference", "nme", *_difference(change["nme"])])
        for name, row in change["regions"].items():
            writer.writerow(["difference_of_region", name, *_difference(row)])
    return text.getvalue()


def _overall_rows(kind: str, figures: dict[str, Any]) -> list[list[Any]]:
    bounds = figures["intervals"]
    return [[kind, key, figures[key], *bounds.get(key, ["", ""])] for key in _RATES]


def _difference(row: dict[str, Any]) -> list[Any]:
    return [row["difference"], *(row["interval"] or ["", ""])]
