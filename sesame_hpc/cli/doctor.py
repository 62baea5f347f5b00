"""`sesame doctor`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sesame_hpc.cli.diagnosis import Diagnosis, Status
from sesame_hpc.cli.outputs import check_output_file

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["doctor"]

_STYLES = {Status.OK: "green", Status.NOTE: "yellow", Status.BROKEN: "bold red"}


def doctor(
    json: Annotated[
        Path | None, typer.Option(help="Also write the results to this JSON file.")
    ] = None,
) -> None:
    """Check what this machine and installation can run. Exit code 1 if something is broken."""
    from sesame_hpc.cli.doctor_machine import machine_diagnoses
    from sesame_hpc.cli.doctor_running import running_diagnoses
    from sesame_hpc.compile_caches import keep_caches_on_the_node
    from sesame_hpc.console import SafeConsole
    from sesame_hpc.extras import has

    check_output_file("--json", json)
    keep_caches_on_the_node(os.environ)
    console = SafeConsole(highlight=False)
    trains = has("deepspeed") or has("nvidia.dali")
    with console.status("checking, and running a training step" if trains else "checking"):
        diagnoses = [*machine_diagnoses(trains), *running_diagnoses(trains)]
    console.print(_table(diagnoses))
    broken = [each.name for each in diagnoses if each.status is Status.BROKEN]
    can = "train" if trains else "find landmarks"
    console.print(f"broken: {', '.join(broken)}" if broken else f"this installation can {can}")
    if json is not None:
        _write(diagnoses, json)
    if broken:
        raise typer.Exit(1)


def _table(diagnoses: list[Diagnosis]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    for each in diagnoses:
        found = Text(each.found)
        if each.fix:
            found.append(f"\n-> {each.fix}", style="bold")
        table.add_row(Text(each.name), Text(each.status, style=_STYLES[each.status]), found)
    return table


def _write(diagnoses: list[Diagnosis], path: Path) -> None:
    from dataclasses import asdict

    from sesame_hpc.files import write_json_atomic

    ok = all(each.status is not Status.BROKEN for each in diagnoses)
    found = {"ok": ok, "checks": [asdict(each) for each in diagnoses], "torch": _torch_report()}
    write_json_atomic(path, found)


def _torch_report() -> dict[str, Any] | None:
    """None where torch cannot be imported, which the diagnoses say."""
    try:
        from sesame_hpc.training.environment import torch_report

        return torch_report()
    except ImportError:
        return None
