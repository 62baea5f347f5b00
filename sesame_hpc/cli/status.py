"""`sesame status`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.cli.errors import ExitCode
from sesame_hpc.printable import say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sesame_hpc.launch.status import RunStatus

__all__ = ["status"]

_RUNS = Path("runs")
_EVERY_SECONDS = 5.0


def status(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN", help=f"A run or sweep folder. Default: every run with jobs in ./{_RUNS}."
        ),
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--once",
            help="Refresh every few seconds. Default: watch on a terminal while jobs are active.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the jobs of a run: state, node, restarts, progress of each stage, and errors.

    Exit code 1 if a run that it shows has failed.
    """
    from sesame_hpc.launch.status import find_runs, run_folders, status_of

    root = run or _RUNS
    folders = run_folders(run) if run else find_runs(root)
    if not folders:
        raise FileNotFoundError(f"no run with jobs in ./{_RUNS}; name one: sesame status RUN")
    statuses = status_of(folders)
    if json:
        _print_json(statuses)
    else:
        statuses = _show(statuses, root, lambda: status_of(folders), watch)
    if any(status.has_failed for status in statuses):
        raise typer.Exit(ExitCode.FINDINGS)


def _print_json(statuses: "list[RunStatus]") -> None:
    from json import dumps

    from sesame_hpc.launch.status_table import to_json

    say(dumps({"runs": [to_json(status) for status in statuses]}, indent=2))


def _drawn(statuses: "list[RunStatus]", root: Path) -> "RenderableType":
    from sesame_hpc.launch.status_table import overview_table, run_table

    if len(statuses) == 1 and statuses[0].run == root:
        return run_table(statuses[0])
    return overview_table(str(root), statuses, root)


def _show(
    statuses: "list[RunStatus]",
    root: Path,
    ask: "Callable[[], list[RunStatus]]",
    watch: bool | None,
) -> "list[RunStatus]":
    """Until nothing is active, or the user interrupts; what was shown last."""
    import time

    from rich.live import Live

    from sesame_hpc.console import SafeConsole

    console = SafeConsole()
    wanted = console.is_terminal if watch is None else watch
    if not (wanted and any(status.is_active for status in statuses)):
        console.print(_drawn(statuses, root))
        return statuses
    with Live(_drawn(statuses, root), console=console, auto_refresh=False) as live:
        try:
            while any(status.is_active for status in statuses):
                time.sleep(_EVERY_SECONDS)
                statuses = ask()
                live.update(_drawn(statuses, root), refresh=True)
        except KeyboardInterrupt:
            pass
    return statuses
