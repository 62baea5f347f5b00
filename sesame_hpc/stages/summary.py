"""The results of a run: `summary.json`, and the table of regions (the paper's Table 1)."""

from typing import Any

from rich.console import Console
from rich.table import Table

from sesame_hpc.checksums import write_listed
from sesame_hpc.evaluation.seeds import ONE_SEED
from sesame_hpc.files import as_json
from sesame_hpc.plural import counted
from sesame_hpc.run.folder import RunFolder

__all__ = ["print_distribution", "print_summary", "write_summary"]


def write_summary(folder: RunFolder, scheme: str) -> dict[str, Any]:
    """Gather the finished stages' results into `summary.json`; NME in percent."""
    stages = folder.config().stages
    results = {stage: folder.result(stage) or {} for stage in stages.run}
    coordinates = {stage: results[stage] for stage in stages.coordinate}
    last = results[stages.coordinate[-1]]
    summary: dict[str, Any] = {
        "scheme": scheme,
        "faces": last["heldout"]["faces"],
        "counted_out": last["heldout"].get("counted_out", 0),
        "stages": {stage: _figures(each["heldout"]) for stage, each in coordinates.items()},
        "masking": folder.masking,
        "seconds": {stage: results[stage]["seconds"] for stage in stages.run},
        "skipped": {stage: results[stage].get("skipped", []) for stage in stages.run},
    }
    if last.get("test"):
        summary["test"] = {
            "faces": last["test"]["faces"],
            "counted_out": last["test"].get("counted_out", 0),
            "stages": {stage: _figures(each["test"]) for stage, each in coordinates.items()},
        }
    write_listed(folder.summary_file, as_json(summary))
    return summary


def _figures(table: dict[str, Any]) -> dict[str, Any]:
    """NME and regions; under "ema" the same of the averaged weights, if the stage has any."""
    brief = {"nme": table["nme"], "regions": table["regions"]}
    return brief | ({"ema": _figures(table["ema"])} if "ema" in table else {})


def print_summary(folder: RunFolder, console: Console) -> None:
    """Print the held-out table, the test table if any, times, and the run folder."""
    summary = folder.summary
    assert summary is not None
    masking = summary["masking"] if "pretrain" in summary["seconds"] else None
    console.print(_comparison(summary["stages"], summary["faces"], "held-out", masking))
    if "test" in summary:
        console.print(
            _comparison(summary["test"]["stages"], summary["test"]["faces"], "test", masking)
        )
    for part, name in ((summary, "held-out"), (summary.get("test", {}), "test")):
        if out := part.get("counted_out"):
            faces = counted(out, f"{name} face")
            console.print(
                f"Not counted, because the normaliser is not labelled: {faces}", soft_wrap=True
            )
    seconds = summary["seconds"]
    if skipped := {sample for ids in summary.get("skipped", {}).values() for sample in ids}:
        faces = counted(len(skipped), "unreadable training face")
        console.print(f"Skipped {faces}: see summary.json")
    console.print(f"{ONE_SEED}.", soft_wrap=True)
    spent = ", ".join(f"{stage} {seconds[stage]:.0f} s" for stage in seconds)
    console.print(f"Time: {spent}. Run folder: {folder.path}", soft_wrap=True)


def _comparison(
    stages: dict[str, Any], faces: int, part: str, masking: dict[str, float] | None
) -> Table:
    """The NME of the stages and the change between two; `masking` None if nothing was masked."""
    table = Table(title=f"NME (%) on {counted(faces, f'{part} face')}")
    table.add_column("region")
    headings = [*stages, *(["change", "change %"] if len(stages) > 1 else [])]
    for heading in [*headings, *(["masked %"] if masking else [])]:
        table.add_column(heading, justify="right")
    figures = list(stages.values())
    for region in figures[0]["regions"]:
        share = [f"{100 * masking[region]:.1f}"] if masking else []
        table.add_row(region, *_change([each["regions"][region] for each in figures]), *share)
    table.add_section()
    table.add_row("all points", *_change([each["nme"] for each in figures]))
    averaged = [each["ema"]["nme"] if "ema" in each else None for each in figures]
    if any(nme is not None for nme in averaged):
        table.add_row("all points, EMA", *_change(averaged))
    return table


def _change(nme: list[float | None]) -> list[str]:
    """The NME of each stage, the change between two and its rate, as text; blank if missing."""
    printed = [_printed(each) for each in nme]
    before, after = nme[0], nme[-1]
    if len(nme) == 1:
        return printed
    if before is None or after is None:
        return [*printed, "", ""]
    change = after - before
    return [*printed, f"{change:+.3f}", f"{100 * change / before:+.1f}"]


def _printed(nme: float | None) -> str:
    return "" if nme is None else f"{nme:.3f}"


def print_distribution(
    probabilities: dict[str, float], regions: dict[str, float], console: Console
) -> None:
    """Print the masking distribution and the NME it comes from, with bars."""
    table = Table(title="Masking distribution")
    table.add_column("region")
    table.add_column("NME %", justify="right")
    table.add_column("masked %", justify="right")
    table.add_column("")
    most = max(probabilities.values())
    for region, share in probabilities.items():
        bar = "█" * max(1, round(24 * share / most))
        table.add_row(region, f"{regions[region]:.3f}", f"{100 * share:.1f}", bar)
    console.print(table)
