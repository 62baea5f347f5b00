"""Processes that outlive the command that started them, identified by pid and start time."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from patience import Patience

__all__ = ["Process", "descendants", "end", "running", "send", "spawn", "with_environment"]

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A pid may be reused; with its start time (clock ticks since boot) it is unique."""

    name: str
    pid: int
    started: int


def _stat(pid: int) -> tuple[str, int, int] | None:
    """(state, parent's pid, start time) of a process; None if there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def spawn(name: str, command: list[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Start a daemon in its own session, with its output appended to `log`."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
    stat = _stat(started.pid)
    return Process(name, started.pid, stat[2] if stat else -1)


def running(process: Process) -> bool:
    """Whether it is running; a zombie, which its parent may reap late, is not."""
    stat = _stat(process.pid)
    return stat is not None and stat[2] == process.started and stat[0] not in "ZX"


def end(process: Process, patience: float = 10.0) -> None:
    """Terminate it, and kill it after `patience` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not running(process):
            return
        os.kill(process.pid, number)
        left = Patience(patience)
        while running(process) and not left.is_over():
            time.sleep(0.02)


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def descendants(roots: Iterable[int]) -> set[int]:
    """The pids `roots`, and those of all their descendants."""
    parents = {pid: stat[1] for pid in _pids() if (stat := _stat(pid)) is not None}
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def with_environment(*wanted: str) -> set[int]:
    """The pids whose environment at their start had every NAME=VALUE (or NAME=) of `wanted`."""
    found = set()
    for pid in _pids():
        try:
            entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if all(_has(entries, text.encode()) for text in wanted):
            found.add(pid)
    return found


def _has(entries: list[bytes], wanted: bytes) -> bool:
    return any(
        entry.startswith(wanted) if wanted.endswith(b"=") else entry == wanted for entry in entries
    )


def _own_line() -> set[int]:
    """This process and its ancestors, which must not be ended by their own command."""
    line, pid = set(), os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        stat = _stat(pid)
        pid = stat[1] if stat else 0
    return line


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to each of `pids`, except this process and its ancestors."""
    for pid in set(pids) - _own_line():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
