"""Write the page of a run folder."""

from collections.abc import Callable
from pathlib import Path

from sesame_hpc.checksums import write_listed
from sesame_hpc.files import write_bytes_atomic
from sesame_hpc.report.page import render
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.folder import RunFolder

__all__ = ["REPORT_NAME", "report_line", "write_report"]

REPORT_NAME = "report.html"


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
