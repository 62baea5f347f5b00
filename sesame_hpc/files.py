"""Files that are either whole or not there, also after a power cut.

Every file of ours is written here: to a temporary name beside its own, to disk, then renamed over
it, and the folder to disk. A temporary name tells who writes it, so that what a dead process left
can be told from what a living one is writing.
"""

import errno
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sesame_hpc.process import is_running, node_name

__all__ = [
    "as_json",
    "file_system_now",
    "is_stream",
    "link_or_copy",
    "make_folder",
    "naming",
    "new_folder",
    "parse_json",
    "read_json",
    "remove_leftovers",
    "replacing",
    "sync_folder",
    "temporary_name",
    "write_bytes_atomic",
    "write_json_atomic",
    "write_text_atomic",
]

_LONGEST_STEM = 60
_FOREIGN_LEFTOVER_SECONDS = 24 * 3600
_TEMPORARY = re.compile(r"\..*\.(?P<node>[^.]+)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp(\.\w+)?")


def write_text_atomic(path: Path | str, text: str) -> None:
    """`text` as UTF-8, by `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path | str, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json_atomic(path: Path | str, value: Any) -> None:
    """`value` as indented JSON, by `write_bytes_atomic`. ValueError for NaN and infinity."""
    write_bytes_atomic(path, as_json(value))


def as_json(value: Any) -> bytes:
    """What `write_json_atomic` writes."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises FileNotFoundError, and ValueError naming the file where it is not JSON.
    """
    return parse_json(path, path.read_bytes())


def parse_json(path: Path, content: bytes) -> Any:
    """`content` as JSON; a ValueError names `path`, where it was read."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON ({error})") from None


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """The name of a temporary file to write, in the folder of `path` (made if missing).

    It ends as `path` does. What was written goes to disk and then over `path`, whose permissions
    are kept; on an exception it is removed, and `path` stays as it was. An OSError names `path`.
    Into a device or pipe it is written, as nothing may take the place of /dev/null or /dev/stdout.
    """
    path = Path(path)
    if is_stream(path):
        with _written_into(path) as partial:
            yield partial
        return
    partial = path.with_name(temporary_name(path.name, path.suffix))
    try:
        make_folder(path.parent)
        yield partial
        with partial.open("rb+") as file:
            partial.chmod(_mode(path))
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        _unlink(partial)
        raise _about(path, error, partial) from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def is_stream(path: Path) -> bool:
    """Whether a path is that of a device, pipe or socket, or an open file of this process."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return True
    folder = os.path.realpath(path.parent)
    return folder in ("/dev", "/dev/fd") or folder.startswith("/proc/")


@contextmanager
def _written_into(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / f"content{path.suffix}"
        yield partial
        try:
            with path.open("wb") as file:
                file.write(partial.read_bytes())
        except OSError as error:
            raise _about(path, error, partial) from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within it, an OSError of an open file, also where it is closed, names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder to fill, beside `path`; it takes that name once all of it is on disk.

    `path` is not there before, or is an empty folder. On an exception nothing is left. An OSError
    names the final place.
    """
    path = Path(path).absolute()
    partial = path.with_name(temporary_name(path.name))
    try:
        make_folder(path.parent)
        partial.mkdir()
        yield partial
        for each in (*partial.rglob("*"), partial):
            if not each.is_symlink():
                _sync(each)
        _take_name(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise _about(path, error, partial) from None
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _take_name(partial: Path, path: Path) -> None:
    try:
        os.replace(partial, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise FileExistsError(
            f"{path}: another process has filled it in the meantime; give another folder"
        ) from None


def _about(path: Path, error: OSError, partial: Path) -> OSError:
    """The same error, about the file that the caller knows and not its temporary name."""
    if error.errno is None:
        return error
    name = error.filename if error.filename2 is None else error.filename2  # where a copy goes
    named = path if name is None else Path(os.fsdecode(name))
    if named.is_relative_to(partial):
        named = path / named.relative_to(partial)
    return OSError(error.errno, error.strerror or os.strerror(error.errno), str(named))


def _unlink(partial: Path) -> None:
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def temporary_name(name: str, suffix: str = "") -> str:
    """A hidden name for a file or folder that this process is writing and will call `name`."""
    stem = os.fsencode(name)[:_LONGEST_STEM].decode(errors="ignore")
    return f".{stem}.{node_name()}-{os.getpid()}-{secrets.token_hex(4)}.tmp{suffix}"


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what dead processes were writing into `folder`, and return it.

    Files and folders named by `temporary_name`: of this machine where their process has ended, of
    others where they were not touched for a day by the file system's own clock.
    """
    removed = []
    for path in folder.glob(".*.tmp*") if folder.is_dir() else ():
        match = _TEMPORARY.fullmatch(path.name)
        if match and _is_abandoned(path, match["node"], int(match["pid"])):
            _remove(path)
            removed.append(path)
    return removed


def _is_abandoned(path: Path, node: str, pid: int) -> bool:
    if node == node_name():
        return not is_running(pid)
    try:
        age = file_system_now(path.parent) - path.stat().st_mtime
    except OSError:
        return False
    return age > _FOREIGN_LEFTOVER_SECONDS


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def file_system_now(folder: Path) -> float:
    """The time by the clock that gives files in `folder` their modification times, in seconds."""
    probe = folder / temporary_name("clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, and put their names to disk."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Put to disk which names a folder holds, where the file system can."""
    _sync(folder)


def _sync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return  # Windows opens no directories
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to the file `source`, or a copy if links are not possible.

    For files that are only ever replaced, never changed in place. An existing `target` is
    replaced at once, and its folder is made if missing. An OSError names `target`.
    """
    partial = target.with_name(temporary_name(target.name))
    try:
        make_folder(target.parent)
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
            _sync(partial)
        os.replace(partial, target)
        partial.unlink(missing_ok=True)  # replacing a link by another to the same file does nothing
        sync_folder(target.parent)
    except OSError as error:
        _unlink(partial)
        raise _about(target, error, partial) from None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
