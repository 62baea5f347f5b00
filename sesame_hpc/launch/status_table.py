"""Statuses as tables of at most 80 columns, and as JSON."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sesame_hpc.launch.nodes import expand_nodes
from sesame_hpc.launch.progress import Progress
from sesame_hpc.launch.status import RunStatus, StageStatus
from sesame_hpc.plural import counted
from sesame_hpc.run.work import StageCost

__all__ = ["overview_table", "run_table", "to_json"]

_LONGEST, _LONGEST_NODES = 220, 10
_SLOW = 1.25
"""A rank that takes this many times as long as the median one is named."""

_STYLES = {
    "COMPLETED": "green",
    "COMPLETING": "cyan",
    "PENDING": "yellow",
    "RUNNING": "bold cyan",
    "UNKNOWN": "dim",
}


def run_table(status: RunStatus) -> RenderableType:
    """The stages of one run, and below them messages and what is not known."""
    table = _table("stage", "job", "state", "nodes", "restarts", "epoch", "loss", "img/s", "ETA")
    for stage in status.stages:
        progress = stage.progress
        restarts = "" if stage.restarts is None else str(stage.restarts)
        table.add_row(
            stage.stage,
            stage.job or "",
            _state(stage),
            _nodes(stage.nodes),
            restarts,
            *_progress(progress, running=stage.state == "RUNNING"),
        )
    with_messages = [stage for stage in status.stages if stage.message]
    lines = [
        _line(", ".join(stage.stage for stage in group), text, bad=any(s.is_bad for s in group))
        for text, group in _grouped(with_messages).items()
    ]
    lines += [
        _line(stage.stage, slow, bad=False) for stage in status.stages if (slow := _slow(stage))
    ]
    if costs := [f"{each.stage} {_cost(each.cost)}" for each in status.stages if each.cost]:
        lines.append(Text(f"cost: {'; '.join(costs)}", style="dim"))
    return Group(Text(str(status.run), style="bold"), table, *lines, *_notes([status]))


def _cost(cost: StageCost) -> str:
    """Such as "3.2 GPU-hours in 3 starts, 1.9 kWh, queued for 0:12:00, 40 steps (0:02:10) trained
    again"."""
    used = f"{cost.gpu_hours:.1f} GPU-hours" if cost.gpu_hours else _duration(cost.seconds)
    words = [f"{used} in {counted(cost.starts, 'start')}"]
    if cost.energy_kwh is not None:
        words.append(f"{cost.energy_kwh:.3g} kWh")
    if cost.queue_seconds is not None:
        words.append(f"queued for {_duration(cost.queue_seconds)}")
    if cost.lost_steps:
        lost = f"{counted(cost.lost_steps, 'step')} ({_duration(cost.lost_seconds)})"
        words.append(f"{lost} trained again")
    return ", ".join(words)


def _slow(stage: StageStatus) -> str | None:
    """Which rank the others wait for, where it is one."""
    found = stage.progress
    if stage.state != "RUNNING" or found is None or not found.slowest_seconds:
        return None
    if found.slowest_seconds < _SLOW * (found.median_seconds or 0.0):
        return None
    where = f" on node {found.slowest_node}" if found.slowest_node else ""
    return (
        f"rank {found.slowest_rank}{where} takes {found.slowest_seconds:.3g} s per batch before it "
        f"meets the others, the median rank {found.median_seconds:.3g} s"
    )


def _grouped(stages: Sequence[StageStatus]) -> dict[str, list[StageStatus]]:
    groups: dict[str, list[StageStatus]] = {}
    for stage in stages:
        groups.setdefault(stage.message or "", []).append(stage)
    return groups


def overview_table(title: str, statuses: Sequence[RunStatus], root: Path) -> RenderableType:
    """One row per run, with its current stage; names are relative to `root`."""
    table = _table("run", "stage", "job", "state", "restarts", "epoch", "loss", "ETA")
    lines = []
    for status in statuses:
        stage, name = status.current, _name(status.run, root)
        epoch, loss, _, eta = _progress(stage.progress, running=stage.state == "RUNNING")
        restarts = "" if stage.restarts is None else str(stage.restarts)
        table.add_row(name, stage.stage, stage.job or "", _state(stage), restarts, epoch, loss, eta)
        if stage.message and stage.is_bad:
            lines.append(_line(f"{name}, {stage.stage}", stage.message, bad=True))
    return Group(Text(title, style="bold"), table, *lines, *_notes(statuses))


def to_json(status: RunStatus) -> dict[str, Any]:
    """The schema is in docs/cluster/status.md."""
    return {
        "run": str(status.run),
        "active": status.is_active,
        "failed": status.has_failed,
        "stages": [asdict(stage) for stage in status.stages],
        "unknown": list(status.unknown),
        "problems": list(status.problems),
        "notes": list(status.notes),
    }


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    numbers = ("restarts", "epoch", "loss", "img/s", "ETA")
    for heading in headings:
        right = heading in numbers
        wraps = heading in ("run", "nodes", "state")
        table.add_column(
            heading,
            justify="right" if right else "left",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
            min_width=len("completed") if heading == "state" else None,
        )
    return table


def _state(stage: StageStatus) -> Text:
    if stage.state is None:
        return Text("-", style="dim")
    style = "bold red" if stage.is_bad else _STYLES.get(stage.state, "")
    return Text(stage.state.lower().replace("_", " "), style=style)


def _nodes(nodes: str | None) -> str:
    """The node list, or its length if that is long; shortened where it has an unknown form."""
    if nodes is None or len(nodes) <= _LONGEST_NODES:
        return nodes or ""
    with suppress(ValueError):
        if not nodes.endswith("…"):
            return f"{len(expand_nodes(nodes))} nodes"
    return f"{nodes[: _LONGEST_NODES - 1]}…"


def _progress(progress: Progress | None, running: bool) -> tuple[str, str, str, str]:
    if progress is None:
        return "", "", "", ""
    loss, rate = progress.loss, progress.images_per_second
    return (
        f"{progress.epoch}/{progress.epochs}",
        "" if loss is None else f"{loss:.5f}",
        "" if rate is None else f"{rate:.0f}",
        _duration(progress.eta) if running else "",
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes = round(seconds) // 60
    if minutes >= 24 * 60:
        return f"{minutes // 1440}d{minutes % 1440 // 60:02}h"
    return f"{minutes // 60}:{minutes % 60:02}:{round(seconds) % 60:02}"


def _line(what: str, message: str, bad: bool) -> Text:
    shown = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1].rstrip()}…"
    return Text.assemble((f"{what}: ", "bold red" if bad else "bold"), shown)


def _notes(statuses: Sequence[RunStatus]) -> list[Text]:
    problems = [Text(text, style="bold red") for status in statuses for text in status.problems]
    problems += [Text(text, style="yellow") for status in statuses for text in status.notes]
    sentences = dict.fromkeys(text for status in statuses for text in status.unknown)
    return problems + [Text(f"not known: {sentence}", style="dim") for sentence in sentences]


def _name(run: Path, root: Path) -> str:
    return str(run.relative_to(root)) if run.is_relative_to(root) else str(run)
