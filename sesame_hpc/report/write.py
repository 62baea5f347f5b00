"""Write the page of a run folder, or of several."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sesame_hpc.checksums import write_listed
from sesame_hpc.files import write_bytes_atomic
from sesame_hpc.report.compared_runs import read_runs
from sesame_hpc.report.comparison_page import render_comparison
from sesame_hpc.report.page import render
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.folder import RunFolder

__all__ = ["COMPARISON_NAME", "REPORT_NAME", "report_line", "write_comparison", "write_report"]

REPORT_NAME = "report.html"
COMPARISON_NAME = "comparison.html"


def write_report(
    folder: RunFolder,
    out: Path | None = None,
    data: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Write the page of a run, finished or not, and return its path.

    `out` None is `report.html` in the run folder; `data` is the folder of the data set if it has
    moved. The page says which data could not be read; `tell` is called with it, too.

    Raises FileNotFoundError if there is no run, ValueError for a run folder with invalid files.
    """
    path = out or folder.path / REPORT_NAME
    content = read_report_data(folder, data)
    page = render(content).encode()
    if tell is not None and content.unread:
        tell(content.unread)
    if out is None:
        write_listed(path, page)
    else:
        write_bytes_atomic(path, page)
    return path


def write_comparison(
    runs: Sequence[Path],
    out: Path,
    data: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Write one page that compares runs, at least two, and return its path `out`.

    Runs with the same settings and different seeds are taken together; the others are compared
    with the first one. `data` is the folder of their data set if it has moved. `tell` is called
    with what could not be read of each run.

    Raises FileNotFoundError for a folder without a run, ValueError for one that is given twice, for
    invalid files, and for runs with different landmarks.
    """
    read = read_runs(runs, data)
    page = render_comparison(read).encode()
    for run in read:
        if tell is not None and run.data.unread:
            tell(f"{run.name}: {run.data.unread}")
    write_bytes_atomic(out, page)
    return out


def report_line(folder: RunFolder) -> str:
    """Write the page at a run's end; returns a sentence with its path, or the reason for failure.

    Never raises, so that a failed report does not fail hours of training.
    """
    try:
        return f"Report: {write_report(folder)}"
    except Exception as error:
        return (
            f"The report could not be made ({type(error).__name__}: {error}); "
            f"try again with sesame report {folder.path}"
        )
