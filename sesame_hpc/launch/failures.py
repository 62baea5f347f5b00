"""Why a job failed: what its ranks recorded, else what their logs contain."""

import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sesame_hpc.distributed.node_faults import NodeFault
from sesame_hpc.files import read_json, write_json_atomic
from sesame_hpc.launch.ledger import JobRecord
from sesame_hpc.launch.slurm_job import SlurmJob
from sesame_hpc.printable import with_notes
from sesame_hpc.shortage import shortage

__all__ = ["cause_of", "last_message", "recorded"]

_FOLDER = "failures"
_TAIL_BYTES = 65_536
_MOST_RANKS = 64
_ERROR = re.compile(
    r"^(\[rank\d+\]: )?(sesame( \(rank \d+\))?: "
    r"|(srun|slurmstepd|sbatch): (error|fatal)"
    r"|[\w.]*(Error|Exception|Interrupt|Exit)\b(: |$)"
    r"|\S*(bash|sh): .*(not found|No such file|Permission denied))"
)
_NO_CAUSE = re.compile(r"^sesame: SLURM ends job ")
"""What the batch script says when SLURM has a reason of its own, which SLURM then gives."""
_OF_SLURM = re.compile(r"^(srun|slurmstepd): (error|fatal): ")
_PREFIX = re.compile(r"^sesame( \(rank \d+\))?: ")


@contextmanager
def recorded(run: Path, stage: str) -> Iterator[None]:
    """Record in the run folder the exception that ends this rank, and raise it again."""
    try:
        yield
    except Exception as error:
        rank = os.environ.get("RANK") or os.environ.get("SLURM_PROCID", "0")
        job = SlurmJob.current()
        failure = {
            "time": time.time(),
            "job": job.name if job else os.environ.get("SUBMITIT_LOCAL_JOB_ID", ""),
            "restarts": job.restarts if job else 0,
            "rank": int(rank),
            "node": os.environ.get("SESAME_NODE", platform.node()),
            "error": _one_line(error),
            "lost_others": isinstance(error, ConnectionError | TimeoutError),
        }
        write_json_atomic(run / _FOLDER / f"{stage}-{rank}.json", failure)
        raise


def _one_line(error: Exception) -> str:
    text = with_notes(shortage(error) or " ".join(str(error).split()), error)
    named = text if type(error) in (ValueError, NodeFault) else f"{type(error).__name__}: {text}"
    return named.removesuffix(": ")


def cause_of(run: Path, record: JobRecord) -> str | None:
    """One line on why a failed job failed; None if unknown.

    Of the ranks' exceptions the earliest that is not a lost connection, since that is an effect.
    """
    written = _written(run, record)
    if written:
        first = min(written, key=lambda failure: (failure["lost_others"], failure["time"]))
        return f"rank {first['rank']} on {first['node']}: {first['error']}"
    lines = [line for rank in _ranks(record) for line in _tail(record.log(run, rank))]
    errors = [line for line in lines if _ERROR.match(line) and not _NO_CAUSE.match(line)]
    own = [line for line in errors if not _OF_SLURM.match(line)]
    return _PREFIX.sub("", (own or errors)[-1]) if errors else None


def last_message(run: Path, record: JobRecord) -> str | None:
    """The last message of sesame itself in the log of rank 0, as on a requeue."""
    messages = [line for line in _tail(record.log(run, 0)) if _PREFIX.match(line)]
    return _PREFIX.sub("", messages[-1]) if messages else None


def _written(run: Path, record: JobRecord) -> list[dict[str, Any]]:
    """Exceptions of the job's last attempt."""
    found = []
    for path in (run / _FOLDER).glob(f"{record.stage}-*.json"):
        try:
            failure = read_json(path)
            ours = failure["job"] == record.job and isinstance(failure["restarts"], int)
        except (ValueError, KeyError, TypeError):
            continue
        if ours:
            found.append(failure)
    last = max((failure["restarts"] for failure in found), default=0)
    return [failure for failure in found if failure["restarts"] == last]


def _ranks(record: JobRecord) -> range:
    return range(min(record.ranks, _MOST_RANKS))


def _tail(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
