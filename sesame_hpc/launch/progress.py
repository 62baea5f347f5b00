"""The progress of a stage, from the metrics records of its run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from sesame_hpc.training.records import MetricsLog

__all__ = ["Progress", "read_records", "stage_progress"]

_RECENT = 20


@dataclass(frozen=True)
class Progress:
    """Progress of a stage: the current epoch, from 1, its loss and throughput; `eta` in seconds.

    `eta` is None until one epoch is complete. `time` is that of the last record, in seconds since
    1970. Of several ranks, `slowest_rank` on `slowest_node` took `slowest_seconds` per batch before
    it waited for the others, whose median is `median_seconds`; the median of the last records.
    """

    epoch: int
    epochs: int
    loss: float | None
    images_per_second: float | None
    eta: float | None
    time: float
    slowest_rank: int | None = None
    slowest_node: str | None = None
    slowest_seconds: float | None = None
    median_seconds: float | None = None


def read_records(path: Path) -> list[dict[str, Any]]:
    """A run's metrics; [] if it has none yet."""
    try:
        return MetricsLog.read(path)
    except FileNotFoundError:
        return []


def stage_progress(records: Sequence[dict[str, Any]], stage: str, epochs: int) -> Progress | None:
    """None if the stage has no records yet. `epochs` are those of the whole stage."""
    own = [record for record in records if record["stage"] == stage]
    if not own:
        return None
    steps = [record for record in own if "loss" in record]
    last = steps[-1] if steps else {}
    return Progress(
        epoch=own[-1]["epoch"],
        epochs=epochs,
        loss=last.get("loss"),
        images_per_second=last.get("images_per_second"),
        eta=_eta(steps, epochs),
        time=own[-1]["time"],
        **_slowest(steps[-_RECENT:]),
    )


def _slowest(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the last records with as many ranks as the last one."""
    times = [each["rank_seconds"] for each in steps if isinstance(each.get("rank_seconds"), list)]
    of_ranks = list(zip(*(each for each in times if len(each) == len(times[-1])), strict=True))
    if not of_ranks:
        return {}
    seconds = [median(own) for own in of_ranks]
    slowest = max(range(len(seconds)), key=seconds.__getitem__)
    named = [each for each in steps if each.get("slowest_rank") == slowest]
    return {
        "slowest_rank": slowest,
        "slowest_node": named[-1].get("slowest_node") if named else None,
        "slowest_seconds": seconds[slowest],
        "median_seconds": median(seconds),
    }


def _eta(steps: Sequence[dict[str, Any]], epochs: int) -> float | None:
    """Remaining steps times the median time per step, which a pause hardly changes."""
    per_epoch = _steps_per_epoch(steps)
    recent = steps[-_RECENT:]
    paces = [
        (after["time"] - before["time"]) / (after["step"] - before["step"])
        for before, after in pairwise(recent)
        if after["step"] > before["step"]
    ]
    if per_epoch is None or not paces:
        return None
    return max(0.0, median(paces) * (per_epoch * epochs - steps[-1]["step"]))


def _steps_per_epoch(steps: Sequence[dict[str, Any]]) -> int | None:
    """From the last record of an epoch that is followed by another: it is at the epoch's end."""
    for before, after in pairwise(steps):
        if after["epoch"] == before["epoch"] + 1:
            return int(before["step"] // before["epoch"])
    return None
