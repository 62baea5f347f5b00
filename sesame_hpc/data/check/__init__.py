"""Everything that can be wrong with a data set's files, found in one pass."""

from sesame_hpc.data.check.finding import Finding, Level
from sesame_hpc.data.check.report import Report, check_data

__all__ = ["Finding", "Level", "Report", "check_data"]
