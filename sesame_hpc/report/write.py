"""`write_report`: the page of a run folder as a file."""

from pathlib import Path

from sesame_hpc.files import write_text_atomic
from sesame_hpc.report.page import render
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.folder import RunFolder

__all__ = ["REPORT_NAME", "report_line", "write_report"]

REPORT_NAME = "report.html"


def write_report(folder: RunFolder, out: Path | None = None, data: Path | None = None) -> Path:
    """Write the page of a run, finished or not, and return its path.

    `out` None is `report.html` in the run folder; `data` is where the data set lies if it is no
    longer where the run found it. What cannot be read of the data is said in the page.

    Raises FileNotFoundError where there is no run, ValueError for a run folder with broken files.
    """
    path = out or folder.path / REPORT_NAME
    write_text_atomic(path, render(read_report_data(folder, data)))
    return path


def report_line(folder: RunFolder) -> str:
    """Write the page at a run's end; the sentence that says where it is, or why there is none.

    Never raises an error of the report's own: hours of training do not fail for a page.
    """
    try:
        return f"Report: {write_report(folder)}"
    except Exception as error:
        return (
            f"No report could be made ({type(error).__name__}: {error}); "
            f"sesame report {folder.path} tries again."
        )
