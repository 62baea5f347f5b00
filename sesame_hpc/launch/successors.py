"""Jobs that continue another which SLURM did not requeue, as the batch scripts note them."""

from collections.abc import Mapping
from pathlib import Path

__all__ = ["JOB_FOLDER", "first_of", "last_of", "read_successors"]

JOB_FOLDER = "SESAME_JOB_FOLDER"
"""Environment variable of a job: the folder of its logs, where its successor is noted."""

_FILE = "successors.txt"


def read_successors(folder: Path) -> dict[str, str]:
    """{job: the job that continues it}; ids as 12 or 12_3. Incomplete lines are ignored."""
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    pairs = [line.split() for line in text.split("\n")[:-1]]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0] != pair[1]}


def last_of(job: str, successors: Mapping[str, str]) -> str:
    """The job that continues `job` now; `job` itself if it has no successor."""
    return _follow(job, successors)


def first_of(job: str, successors: Mapping[str, str]) -> str:
    """The job that was submitted first of those that `job` continues."""
    return _follow(job, {new: old for old, new in successors.items()})


def _follow(job: str, steps: Mapping[str, str]) -> str:
    seen = {job}
    while (following := steps.get(job)) is not None and following not in seen:
        job = following
        seen.add(job)
    return job
