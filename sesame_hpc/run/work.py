"""What the stages of a run have cost: work.jsonl of its folder, a line for each start of a stage.

    {"stage", "time", "step", "ranks", "gpus", "job", "queue_seconds",
     "lost_steps", "lost_seconds", "previous_end"}

`time` is when training began, at optimizer step `step`, on so many ranks and GPUs. The start before
made `lost_steps` more than that, in `lost_seconds`, and its last record is of `previous_end`. A
line that is torn is left out: it is history, and nothing goes on from it.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = [
    "JOULES_PER_KWH",
    "QUEUE_SECONDS",
    "WORK",
    "StageCost",
    "jobs_of",
    "note_start",
    "stage_costs",
]

JOULES_PER_KWH = 3_600_000

WORK = "work.jsonl"
QUEUE_SECONDS = "SESAME_QUEUE_SECONDS"
"""Environment variable: how long this job waited in SLURM's queue, once it could have started."""


@dataclass(frozen=True)
class StageCost:
    """All `starts` of a stage: `seconds` in which it trained and `gpu_hours`, lost work included.

    `queue_seconds` in SLURM's queue, None where unknown; `lost_steps` were trained again, which had
    taken `lost_seconds`. `energy_joules` of its jobs' nodes, by SLURM's accounting, None where
    unknown; a job that trained several stages is shared out by their seconds.
    """

    starts: int
    seconds: float
    gpu_hours: float
    queue_seconds: float | None
    lost_steps: int
    lost_seconds: float
    energy_joules: float | None = None

    @property
    def energy_kwh(self) -> float | None:
        """`energy_joules` in kilowatt-hours."""
        return None if self.energy_joules is None else self.energy_joules / JOULES_PER_KWH


def note_start(
    run: Path, stage: str, step: int, ranks: int, gpus: int, records: Sequence[dict[str, Any]]
) -> None:
    """Add a line for a start of `stage` at `step`; `records` are the stage's so far."""
    steps = [record for record in records if "loss" in record]
    kept = [record for record in steps if record["step"] <= step]
    lost = [record for record in steps if record["step"] > step]
    before = [each for each in _starts(run, stage) if not kept or each["time"] >= kept[-1]["time"]]
    since = [record["time"] for record in kept[-1:]] + [each["time"] for each in before]
    queued = os.environ.get(QUEUE_SECONDS)
    line = {
        "stage": stage,
        "time": time.time(),
        "step": step,
        "ranks": ranks,
        "gpus": gpus,
        "job": os.environ.get("SLURM_JOB_ID"),
        "queue_seconds": None if queued is None else float(queued),
        "lost_steps": lost[-1]["step"] - step if lost else 0,
        "lost_seconds": max(0.0, lost[-1]["time"] - max(since)) if lost and since else 0.0,
        "previous_end": steps[-1]["time"] if steps else None,
    }
    path = run / WORK
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def jobs_of(run: Path) -> list[str]:
    """SLURM_JOB_ID of each job that has trained a stage."""
    return list(dict.fromkeys(start["job"] for start in _starts(run) if start.get("job")))


def stage_costs(
    run: Path, records: Sequence[dict[str, Any]], joules: Mapping[str, float] | None = None
) -> dict[str, StageCost]:
    """{stage: cost} of those that were started; `records` are the run's metrics.

    `joules` {job: energy} of `jobs_of(run)`, as far as it is known.
    """
    stages = dict.fromkeys(start["stage"] for start in _starts(run))
    starts = {stage: _starts(run, stage) for stage in stages}
    seconds = {stage: _seconds(own, records, stage) for stage, own in starts.items()}
    energy = _energy(starts, seconds, joules or {})
    return {stage: _cost(starts[stage], seconds[stage], energy.get(stage)) for stage in stages}


def _seconds(
    starts: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]], stage: str
) -> list[float]:
    """How long each start of a stage trained."""
    last = max((each["time"] for each in records if each["stage"] == stage), default=0.0)
    ends = [after["previous_end"] or before["time"] for before, after in pairwise(starts)]
    return [max(0.0, end - start["time"]) for start, end in zip(starts, [*ends, last], strict=True)]


def _energy(
    starts: Mapping[str, Sequence[dict[str, Any]]],
    seconds: Mapping[str, Sequence[float]],
    joules: Mapping[str, float],
) -> dict[str, float]:
    """{stage: joules} of the stages all of whose jobs' energy is known."""
    shares: dict[tuple[str, str], float] = {}
    for stage, own in starts.items():
        for start, trained in zip(own, seconds[stage], strict=True):
            key = stage, str(start.get("job"))
            shares[key] = shares.get(key, 0.0) + trained
    of_job: dict[str, float] = {}
    for (_, job), trained in shares.items():
        of_job[job] = of_job.get(job, 0.0) + trained
    found: dict[str, float] = {}
    for stage in starts:
        own_shares = {job: trained for (of, job), trained in shares.items() if of == stage}
        if all(job in joules for job in own_shares):
            found[stage] = sum(
                joules[job] * (trained / of_job[job] if of_job[job] else 1.0)
                for job, trained in own_shares.items()
            )
    return found


def _cost(
    starts: Sequence[dict[str, Any]], seconds: Sequence[float], energy: float | None
) -> StageCost:
    queued = [start["queue_seconds"] for start in starts if start["queue_seconds"] is not None]
    return StageCost(
        starts=len(starts),
        seconds=sum(seconds),
        gpu_hours=sum(own * start["gpus"] for own, start in zip(seconds, starts, strict=True))
        / 3600,
        queue_seconds=sum(queued) if queued else None,
        lost_steps=sum(start["lost_steps"] for start in starts),
        lost_seconds=sum(start["lost_seconds"] for start in starts),
        energy_joules=energy,
    )


def _starts(run: Path, stage: str | None = None) -> list[dict[str, Any]]:
    try:
        lines = (run / WORK).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [start for line in lines if (start := _start(line)) is not None]
    return [start for start in found if stage in (None, start["stage"])]


def _start(line: str) -> dict[str, Any] | None:
    """None for anything but a line of `note_start`."""
    try:
        start = json.loads(line)
        numbers = [start[name] for name in ("time", "gpus", "lost_steps", "lost_seconds")]
        rest = [start[name] or 0 for name in ("queue_seconds", "previous_end")]
        whole = isinstance(start["stage"], str)
        return start if whole and all(isinstance(n, int | float) for n in numbers + rest) else None
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
