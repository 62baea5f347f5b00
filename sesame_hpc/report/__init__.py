"""One self-contained HTML page of a run. Imports no torch."""

from sesame_hpc.report.write import REPORT_NAME, report_line, write_report

__all__ = ["REPORT_NAME", "report_line", "write_report"]
