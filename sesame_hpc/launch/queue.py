"""What SLURM says of jobs: squeue, and sacct for those that it has forgotten.

The cluster's commands are asked once for all jobs; what they print is parsed apart from asking.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sesame_hpc.launch.nodes import expand_nodes

__all__ = ["JobState", "QueueError", "ask_sacct", "ask_squeue", "read_sacct", "read_squeue"]

_ENDED = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ]
)
_COLUMNS = {
    "JobArrayID": 40,
    "Name": 120,
    "State": 24,
    "NodeList": 200,
    "Reason": 100,
    "RestartCnt": 12,
    "StartTime": 28,
}
_SACCT_FIELDS = ("JobID", "JobName", "State", "NodeList")
_SECONDS = 30


class QueueError(Exception):
    """A command of SLURM's is missing, failed or hung; the text says which and what it said."""


@dataclass(frozen=True)
class JobState:
    """One job, or one task of an array. Empty texts and None are what is not known.

    `name` is what it was submitted as, `reason` why it waits or ended, "" for none, `start`
    when it began or is expected to; both as SLURM writes them.
    """

    job: str
    state: str
    name: str = ""
    nodes: str = ""
    reason: str | None = None
    restarts: int | None = None
    start: str = ""

    @property
    def is_active(self) -> bool:
        """Queued, running, or between the two."""
        return self.state not in _ENDED


def ask_squeue(jobs: Iterable[str]) -> dict[str, JobState]:
    """Jobs that are queued, running, or ended lately; those that SLURM has forgotten are left out.

    Raises QueueError where it cannot be asked.
    """
    ids = _whole_ids(jobs)
    if not ids:
        return {}
    columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
    command = ["squeue", "--noheader", "--array", "--states=all"]
    try:
        text = _ask([*command, f"--jobs={','.join(ids)}", f"--Format={columns}"])
    except QueueError as error:
        if "Invalid job id" in str(error):
            return {}
        raise
    return read_squeue(text)


def read_squeue(text: str) -> dict[str, JobState]:
    """What `ask_squeue` prints: columns of fixed widths."""
    found = {}
    for line in text.splitlines():
        values, at = {}, 0
        for name, width in _COLUMNS.items():
            values[name] = line[at : at + width].strip()
            at += width
        if not values["JobArrayID"]:
            continue
        found[values["JobArrayID"]] = JobState(
            job=values["JobArrayID"],
            state=values["State"],
            name=values["Name"],
            nodes=values["NodeList"],
            reason="" if values["Reason"] == "None" else values["Reason"],
            restarts=int(values["RestartCnt"]) if values["RestartCnt"].isdigit() else None,
            start="" if values["StartTime"] == "N/A" else values["StartTime"],
        )
    return found


def ask_sacct(jobs: Iterable[str]) -> dict[str, JobState]:
    """What the accounting knows of jobs. Raises QueueError where there is no accounting."""
    ids = _whole_ids(jobs)
    if not ids:
        return {}
    fields = f"--format={','.join(_SACCT_FIELDS)}"
    command = ["sacct", "--noheader", "--parsable2", "--allocations", fields]
    return read_sacct(_ask([*command, f"--jobs={','.join(ids)}"]))


def read_sacct(text: str) -> dict[str, JobState]:
    """What `ask_sacct` prints: fields between bars. Tasks that never began share a line, "8_[0-3]".

    These are written as node lists are.
    """
    found = {}
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != len(_SACCT_FIELDS):
            continue
        jobs, name, state, nodes = parts
        for job in expand_nodes(re.sub(r"%\d+", "", jobs)):
            found[job] = JobState(
                job=job,
                state=state.split(" ")[0],
                name=name,
                nodes="" if nodes == "None assigned" else nodes,
            )
    return found


def _whole_ids(jobs: Iterable[str]) -> list[str]:
    """Ids of jobs and whole arrays, in order, each once."""
    return sorted({job.split("_")[0] for job in jobs}, key=int)


def _ask(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        raise QueueError(f"{command[0]} is not on this machine")
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise QueueError(f"{command[0]}: {error}") from None
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise QueueError(f"{command[0]}: {lines[-1].removeprefix(f'{command[0]}: ')}")
    return ended.stdout
