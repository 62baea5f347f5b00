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
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["QUEUE_SECONDS", "WORK", "StageCost", "note_start", "stage_costs"]

WORK = "work.jsonl"
QUEUE_SECONDS = "SESAME_QUEUE_SECONDS"
"""Environment variable: how long this job waited in SLURM's queue, once it could have started."""


@dataclass(frozen=True)
class StageCost:
    """All `starts` of a stage: `seconds` in which it trained and `gpu_hours`, lost work included.

    `queue_seconds` in SLURM's queue, None where unknown; `lost_steps` were trained again, which had
    taken `lost_seconds`.
    """

    starts: int
    seconds: float
    gpu_hours: float
    queue_seconds: float | None
    lost_steps: int
    lost_seconds: float


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


def stage_costs(run: Path, records: Sequence[dict[str, Any]]) -> dict[str, StageCost]:
    """{stage: cost} of those that were started; `records` are the run's metrics."""
    stages = dict.fromkeys(start["stage"] for start in _starts(run))
    return {stage: _cost(_starts(run, stage), records, stage) for stage in stages}


def _cost(
    starts: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]], stage: str
) -> StageCost:
    last = max((each["time"] for each in records if each["stage"] == stage), default=0.0)
    ends = [after["previous_end"] or before["time"] for before, after in pairwise(starts)]
    seconds = [
        max(0.0, end - start["time"]) for start, end in zip(starts, [*ends, last], strict=True)
    ]
    queued = [start["queue_seconds"] for start in starts if start["queue_seconds"] is not None]
    return StageCost(
        starts=len(starts),
        seconds=sum(seconds),
        gpu_hours=sum(own * start["gpus"] for own, start in zip(seconds, starts, strict=True))
        / 3600,
        queue_seconds=sum(queued) if queued else None,
        lost_steps=sum(start["lost_steps"] for start in starts),
        lost_seconds=sum(start["lost_seconds"] for start in starts),
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
