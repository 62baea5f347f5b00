"""One writer for a folder, on this machine and on all others that see it.

A file in the folder, `.lock`, says who writes there. It is made by a hard link, which is atomic on
network file systems too, locked with `flock`, and touched every few seconds by a thread, so that
others see a sign of life. Ages are differences between modification times that the same file
system gave, so the machines' clocks do not matter.
"""

import json
import os
import secrets
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sesame_hpc.files import file_system_now, make_folder, temporary_name
from sesame_hpc.process import identity, is_alive, node_name

if sys.platform != "win32":
    import fcntl

__all__ = ["STALE_SECONDS", "FolderBusy", "Lease"]

STALE_SECONDS = 120.0
"""Seconds without a sign of life after which a process on another machine counts as dead."""

_BEAT_SECONDS = 15.0
_FILE = ".lock"
_ATTEMPTS = 5


class FolderBusy(ValueError):
    """Another process writes into the folder."""


class Lease:
    """The right to write into `folder`; a context manager, once in a process at a time.

    `doing` is what the process does there ("training in"), and `file` the name of the lease: one of
    another name is another right. Taken over are the leases of processes
    that have ended on this machine, of this very SLURM job before it was requeued, and of other
    machines after `STALE_SECONDS` without a sign of life.
    """

    def __init__(self, folder: Path, doing: str, file: str = _FILE) -> None:
        self.folder = folder
        self.path = folder / file
        self._doing = doing
        self._file: int | None = None
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Make the folder if it is missing, and take it.

        Raises:
            FolderBusy: another process has it; always with the same sentence.
            ValueError: the system has no locks that tell who is alive (Windows).
        """
        if sys.platform == "win32":
            raise ValueError(f"{self._doing} {self.folder} needs Linux, macOS or WSL2")
        make_folder(self.folder)
        for _ in range(_ATTEMPTS):
            self._file = _create(self.path)
            if self._file is not None:
                threading.Thread(target=self._beat, name="lease", daemon=True).start()
                return
            self._remove_if_dead()
        raise self._busy(_read(self.path))

    def refuse_if_busy(self) -> None:
        """Raise FolderBusy where another process has the folder; change nothing."""
        holder = _read(self.path)
        if holder is not None and not self._is_dead(holder):
            raise self._busy(holder)

    def check(self) -> None:
        """Raise FolderBusy where another process took the folder from this one.

        It may where this process was halted, or cut off from the file system, for too long.
        """
        if self._file is not None and not self._is_mine():
            raise self._busy(_read(self.path))

    def release(self) -> None:
        self._stop.set()
        if self._file is None:
            return
        with suppress(OSError):
            if self._is_mine():
                self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None

    def _is_mine(self) -> bool:
        assert self._file is not None
        try:
            theirs, mine = self.path.stat(), os.fstat(self._file)
        except FileNotFoundError:
            return False
        return (theirs.st_dev, theirs.st_ino) == (mine.st_dev, mine.st_ino)

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            with suppress(OSError, TypeError):
                os.utime(self._file)  # type: ignore[arg-type]

    def _busy(self, holder: dict[str, Any] | None) -> FolderBusy:
        who = ""
        if holder:
            job = f" of job {holder['job']}" if holder.get("job") else ""
            who = f": process {holder['pid']}{job} on {holder['host']}"
        return FolderBusy(
            f"another process is {self._doing} {self.folder}{who}. Wait for it to end, or give "
            f"another folder; the lock of a machine that died expires after {STALE_SECONDS:.0f} s"
        )

    def _remove_if_dead(self) -> None:
        """Raises FolderBusy where it is alive."""
        holder = _read(self.path)
        if holder is None:
            return
        if not self._is_dead(holder):
            raise self._busy(holder)
        if (_read(self.path) or {}).get("token") != holder.get("token"):
            return
        aside = self.path.with_name(temporary_name(self.path.name))
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        taken = _read(aside)
        if taken is not None and taken.get("token") != holder.get("token"):
            # A third process was quicker, and this is its new lease: give it back.
            with suppress(OSError):
                os.link(aside, self.path)
            aside.unlink(missing_ok=True)
            raise self._busy(taken)
        aside.unlink(missing_ok=True)

    def _is_dead(self, holder: dict[str, Any]) -> bool:
        if _is_locked(self.path):
            return False
        if holder.get("node") == node_name():
            return not is_alive(holder)
        if _is_requeued(holder):
            return True
        try:
            age = file_system_now(self.folder) - self.path.stat().st_mtime
        except FileNotFoundError:
            return True
        return age > STALE_SECONDS


def _me() -> dict[str, Any]:
    return identity(os.getpid()) | {
        "node": node_name(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "restarts": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        "token": secrets.token_hex(8),
    }


def _is_requeued(holder: dict[str, Any]) -> bool:
    """SLURM ends a job before it runs it again."""
    me = _me()
    same = holder.get("job") is not None and holder["job"] == me["job"]
    return same and int(holder.get("restarts") or 0) < me["restarts"]


def _create(path: Path) -> int | None:
    """An open, locked file with this process's record; None where `path` is there."""
    partial = path.with_name(temporary_name(path.name))
    content = json.dumps(_me()).encode()
    handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        os.write(handle, content)
        with suppress(OSError):  # a file system without locks is trusted
            _lock(handle)
        os.fsync(handle)
        try:
            os.link(partial, path)
        except FileExistsError:
            os.close(handle)
            return None
        except OSError:  # a file system without hard links
            os.close(handle)
            return _create_without_links(path, content)
    finally:
        partial.unlink(missing_ok=True)
    return handle


def _create_without_links(path: Path, content: bytes) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    with suppress(OSError):
        _lock(handle)
    os.write(handle, content)
    os.fsync(handle)
    return handle


def _read(path: Path) -> dict[str, Any] | None:
    """The holder's record, {"pid": "unknown", ...} for a torn one; None where there is no file."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return {"pid": "?", "host": "another machine"} | json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {"pid": "?", "host": "another machine"}


def _lock(handle: int) -> None:
    """Raises OSError where another process has locked the file, or it cannot be locked."""
    if sys.platform != "win32":
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(path: Path) -> bool:
    """Whether a process of this machine, or of all where locks go that far, holds the file."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        _lock(handle)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
