"""Environment variables to set before importing torch, and the identity of a process."""

import os
import platform
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "command_of",
    "identity",
    "is_alive",
    "is_running",
    "node_name",
    "set_process_defaults",
    "usable_cores",
]


def set_process_defaults() -> None:
    """Set defaults of environment variables that the user has not set.

    Threads sleep at barriers instead of spinning: as fast on an idle machine, and several times
    faster if other processes use the same cores. Large pages for tensors of 2 MB and more, which
    saves 3 to 5 % of a step on a CPU. No warnings from torch's C++, whose stack traces hide the
    message about a missing rank.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def usable_cores() -> int:
    """The cores that this process may run on, or all of them where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def identity(pid: int) -> dict[str, Any]:
    """{"pid", "started", "host"}: what `is_alive` needs; `started` in ticks since the boot.

    A process is known by more than its number, which the kernel gives out again.
    """
    return {"pid": pid, "started": _started(pid), "host": platform.node()}


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether it still runs; None for one of another machine."""
    if process["host"] != platform.node():
        return None
    started = _started(process["pid"])
    return started is not None and started == process["started"]


def command_of(pid: int) -> tuple[list[str], Path] | None:
    """The arguments and the working directory of a process; None if they cannot be read."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        return [os.fsdecode(each) for each in arguments], Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def is_running(pid: int) -> bool:
    """Whether a process of this machine has that number and has not ended."""
    return _started(pid) is not None


@cache
def node_name() -> str:
    """This machine, as far as process numbers mean the same: host name, and where it has one the
    container's own numbering of processes. Letters, digits, _ and - only.
    """
    try:
        numbering = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        numbering = 0
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', platform.node())[:40]}_{numbering:x}"


def _started(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else int(fields[18])
