"""Files that are either whole or not there."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "new_folder",
    "replacing",
    "write_bytes_atomic",
    "write_json_atomic",
    "write_text_atomic",
]


def write_text_atomic(path: Path | str, text: str) -> None:
    """`text` as UTF-8, by `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path | str, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one."""
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """The name of a temporary file to write, in the folder of `path` (made if missing).

    It ends as `path` does. What was written goes to disk and then over `path`, whose permissions
    are kept; on an exception it is removed, and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(_temporary(path.name, path.suffix))
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fchmod(file.fileno(), _mode(path))
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder to fill, beside `path`; it takes that name once all of it is on disk.

    `path` is not there before, or is an empty folder. On an exception nothing is left.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(_temporary(path.name))
    partial.mkdir()
    try:
        yield partial
        for each in (*partial.rglob("*"), partial):
            if not each.is_symlink():
                _sync(each)
        os.replace(partial, path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _temporary(name: str, suffix: str = "") -> str:
    return f".{name[:60]}.{os.getpid()}-{secrets.token_hex(4)}.tmp{suffix}"


def _sync(path: Path) -> None:
    """A file's content, or which names a folder holds, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def write_json_atomic(path: Path | str, value: Any) -> None:
    """`value` as indented JSON, by `write_text_atomic`. ValueError for NaN and infinity."""
    write_text_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
