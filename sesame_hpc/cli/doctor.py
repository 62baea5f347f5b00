"""`sesame doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.cli.check import Check, Status

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["doctor"]

_STYLES = {Status.OK: "green", Status.NOTE: "yellow", Status.BROKEN: "bold red"}


def doctor(
    json: Annotated[
        Path | None, typer.Option(help="Also write the results to this JSON file.")
    ] = None,
) -> None:
    """Check what this machine and installation can run. Exit code 1 if training cannot."""
    from rich.console import Console

    from sesame_hpc.cli.checks_machine import machine_checks
    from sesame_hpc.cli.checks_running import running_checks

    console = Console(highlight=False)
    with console.status("checking the machine and running a training step"):
        checks = [*machine_checks(), *running_checks()]
    console.print(_table(checks))
    broken = [check.name for check in checks if check.status is Status.BROKEN]
    console.print(f"broken: {', '.join(broken)}" if broken else "this installation can train")
    if json is not None:
        _write(checks, json)
    if broken:
        raise typer.Exit(1)


def _table(checks: list[Check]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    for check in checks:
        finding = Text(check.found)
        if check.fix:
            finding.append(f"\n-> {check.fix}", style="bold")
        table.add_row(Text(check.name), Text(check.status, style=_STYLES[check.status]), finding)
    return table


def _write(checks: list[Check], path: Path) -> None:
    from dataclasses import asdict

    from sesame_hpc.files import write_json_atomic

    ok = all(check.status is not Status.BROKEN for check in checks)
    write_json_atomic(path, {"ok": ok, "checks": [asdict(check) for check in checks]})
