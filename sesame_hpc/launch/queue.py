"""The states of jobs from squeue, and from sacct for those that squeue no longer lists.

Each command runs once for all jobs; parsing its output is a function of its own.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sesame_hpc.launch.nodes import expand_nodes

__all__ = [
    "JobState",
    "QueueError",
    "query_sacct",
    "query_squeue",
    "read_sacct",
    "read_squeue",
    "read_squeue_nodes",
]

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
    "NodeList": 4000,
    "Reason": 100,
    "RestartCnt": 12,
    "StartTime": 28,
}
_SACCT_FIELDS = ("JobID", "JobName", "State", "NodeList")
_SECONDS = 30
_NO_VALUE = 0xFFFFFFFE


class QueueError(Exception):
    """A SLURM command is missing, failed or timed out; the text has its name and its error."""


@dataclass(frozen=True)
class JobState:
    """One job, or one task of an array. Empty strings and None stand for unknown values.

    `name` is the job name, `reason` why it waits or ended ("" for none), `start` its actual or
    expected start; the last two in SLURM's notation.
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
        """Queued, running, or in between."""
        return self.state not in _ENDED


def query_squeue(jobs: Iterable[str], cluster: str | None = None) -> dict[str, JobState]:
    """Jobs that are queued, running or recently ended, as far as squeue still lists them.

    Asks the cluster `cluster` of a federation, or this machine's. Raises QueueError if squeue
    fails.
    """
    ids = _whole_ids(jobs)
    if not ids:
        return {}
    columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
    command = ["squeue", *_at(cluster), "--noheader", "--array", "--states=all"]
    try:
        text = _run([*command, f"--jobs={','.join(ids)}", f"--Format={columns}"])
    except QueueError as error:
        if "Invalid job id" in str(error):
            return {}
        raise
    found = read_squeue(text)
    cut = [job for job, state in found.items() if len(state.nodes) >= _COLUMNS["NodeList"]]
    return found | _with_whole_nodes(found, cut, cluster)


def _with_whole_nodes(
    found: dict[str, JobState], cut: Sequence[str], cluster: str | None
) -> dict[str, JobState]:
    """Those whose node list is longer than its column, by `squeue --json`, if this one has that.

    Else the list ends in "…". Not for all jobs: it prints a hundred times as much, and older ones
    print all jobs there are.
    """
    if not cut:
        return {}
    nodes: dict[str, str] = {}
    with suppress(QueueError, ValueError):
        ids = ",".join(_whole_ids(cut))
        nodes = read_squeue_nodes(_run(["squeue", *_at(cluster), "--json", f"--jobs={ids}"]))
    return {job: replace(found[job], nodes=nodes.get(job) or f"{found[job].nodes}…") for job in cut}


def read_squeue_nodes(text: str) -> dict[str, str]:
    """{job: node list} of `squeue --json`.

    Since SLURM 23.02 a number is {"set": ..., "number": ...}. Raises ValueError for what is not
    such a list of jobs.
    """
    try:
        jobs = json.loads(text)["jobs"]
        return {_id_in_json(job): str(job["nodes"] or "") for job in jobs}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"squeue --json printed something else: {error!r}") from None


def _id_in_json(job: dict[str, Any]) -> str:
    array, task = (_number(job.get(key)) for key in ("array_job_id", "array_task_id"))
    return f"{array}_{task}" if array and task is not None else str(job["job_id"])


def _number(value: Any) -> int | None:
    if isinstance(value, dict):
        value = value["number"] if value["set"] else None
    return value if isinstance(value, int) and value < _NO_VALUE else None


def read_squeue(text: str) -> dict[str, JobState]:
    """Parse the output of squeue: columns of fixed widths, below a cluster's name if one was asked
    by it."""
    found = {}
    for line in text.splitlines():
        if line.startswith("CLUSTER:"):
            continue
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


def query_sacct(jobs: Iterable[str], cluster: str | None = None) -> dict[str, JobState]:
    """Jobs by the accounting of that cluster, or of this machine's.

    Raises QueueError if there is none.
    """
    ids = _whole_ids(jobs)
    if not ids:
        return {}
    fields = f"--format={','.join(_SACCT_FIELDS)}"
    command = ["sacct", *_at(cluster), "--noheader", "--parsable2", "--allocations", fields]
    return read_sacct(_run([*command, f"--jobs={','.join(ids)}"]))


def read_sacct(text: str) -> dict[str, JobState]:
    """Parse the output of sacct: fields between bars.

    Tasks that never started share a line, "8_[0-3]", in the notation of node lists.
    """
    found = {}
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != len(_SACCT_FIELDS):
            continue
        jobs, name, state, nodes = parts
        for job in _expand_tasks(jobs):
            found[job] = JobState(
                job=job,
                state=state.split(" ")[0],
                name=name,
                nodes="" if nodes == "None assigned" else nodes,
            )
    return found


def _expand_tasks(jobs: str) -> list[str]:
    """ "8_[0-3%2]" -> 8_0 to 8_3; as it is where it has another form."""
    try:
        return expand_nodes(re.sub(r"%\d+", "", jobs))
    except ValueError:
        return [jobs]


def _at(cluster: str | None) -> list[str]:
    return [f"--clusters={cluster}"] if cluster else []


def _whole_ids(jobs: Iterable[str]) -> list[str]:
    """Ids of jobs and whole arrays, sorted, without duplicates."""
    return sorted({job.split("_")[0] for job in jobs}, key=int)


def _run(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        raise QueueError(f"{command[0]} is not installed on this machine")
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise QueueError(f"{command[0]}: {error}") from None
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise QueueError(f"{command[0]}: {lines[-1].removeprefix(f'{command[0]}: ')}")
    return ended.stdout
