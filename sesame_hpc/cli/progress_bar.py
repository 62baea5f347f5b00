"""A progress bar for long work, on terminals alone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yields a function of what is being done, how much is done, and how much there is, if known.

    The bar is drawn on standard error, and disappears at the end; nothing is drawn where that is
    no terminal.
    """
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from sesame_hpc.console import SafeConsole

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeRemainingColumn(),
    )
    console = SafeConsole(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    ) as bar:

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bar.remove_task(task)
                tasks.clear()
                tasks[what] = bar.add_task(what, total=total, counted="")
            counted = str(done) if total is None else f"{done} of {total}"
            bar.update(tasks[what], completed=done, total=total, counted=counted if done else "")

        yield show
