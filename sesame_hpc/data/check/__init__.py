"""Everything that can be wrong with a data set's files, found in one pass."""

from sesame_hpc.data.check.report import Report, check_data
from sesame_hpc.data.findings import Finding, Level

__all__ = ["Finding", "Level", "Report", "check_data"]
