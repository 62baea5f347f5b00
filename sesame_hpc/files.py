"""Files that are either whole or not there."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["write_bytes_atomic", "write_json_atomic", "write_text_atomic"]


def write_text_atomic(path: Path | str, text: str) -> None:
    """`text` as UTF-8, by `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path | str, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one.

    The content goes to a temporary file in the same folder (made if missing), to disk, then over
    `path`. An existing file's permissions are kept.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _mode(path))
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
