"""One self-contained HTML page of a run, or of several side by side. Imports no torch."""

from sesame_hpc.report.write import (
    COMPARISON_NAME,
    REPORT_NAME,
    report_line,
    write_comparison,
    write_report,
)

__all__ = ["COMPARISON_NAME", "REPORT_NAME", "report_line", "write_comparison", "write_report"]
