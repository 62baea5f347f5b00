"""Processes known by more than their number, which the kernel gives out again."""

import platform
from pathlib import Path
from typing import Any

__all__ = ["identity", "is_alive"]


def identity(pid: int) -> dict[str, Any]:
    """{"pid", "started", "host"}: what `is_alive` needs; `started` in ticks since the boot."""
    return {"pid": pid, "started": _started(pid), "host": platform.node()}


def is_alive(process: dict[str, Any]) -> bool | None:
    """Whether it still runs; None for one of another machine."""
    if process["host"] != platform.node():
        return None
    started = _started(process["pid"])
    return started is not None and started == process["started"]


def _started(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else int(fields[18])
