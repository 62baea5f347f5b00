"""Where the repository, this folder and its results are."""

from pathlib import Path

__all__ = ["BENCHMARKS", "PLOTS", "RESULTS", "ROOT"]

BENCHMARKS = Path(__file__).resolve().parents[1]
ROOT = BENCHMARKS.parent
RESULTS = BENCHMARKS / "results"
PLOTS = BENCHMARKS / "plots"
