"""Checksums of a folder's files, in a `SHA256SUMS` beside them.

Lines as `sha256sum` writes them, so that `sha256sum -c SHA256SUMS` in the folder checks the same.
"""

import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sesame_hpc.files import write_bytes_atomic, write_text_atomic

__all__ = [
    "SUMS",
    "HashingWriter",
    "add_sums",
    "check_content",
    "damage",
    "digest_of",
    "file_digest",
    "forget_sums",
    "read_sums",
    "read_verified",
    "write_listed",
    "write_sums",
]

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class HashingWriter(io.RawIOBase):
    """A binary file to write to, and the SHA-256 of what was written, in hexadecimal digits.

    An OSError of the file is kept in `error`, since libraries that write may hide it.
    """

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        try:
            written = self._file.write(content)
        except OSError as error:
            self.error = error
            raise
        self._hash.update(content)
        return written

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_verified(path: Path) -> bytes:
    """A file's bytes, if they are those that `SHA256SUMS` beside it lists; unlisted ones as found.

    Raises FileNotFoundError, and ValueError as `check_content`.
    """
    content = path.read_bytes()
    check_content(path, content)
    return content


def check_content(path: Path, content: bytes) -> None:
    """Raise ValueError where a file was damaged or changed since its checksum was listed."""
    listed = read_sums(path.parent).get(path.name)
    if listed is not None and listed != digest_of(content):
        raise ValueError(_other_bytes(path))


def _other_bytes(path: Path) -> str:
    return f"{path}: is damaged or was changed: its SHA-256 is not that in {SUMS} beside it"


def add_sums(folder: Path, digests: Mapping[str, str]) -> None:
    """Add to `SHA256SUMS` of `folder`, or replace in it; a damaged one starts empty."""
    try:
        known = read_sums(folder)
    except ValueError:
        known = {}
    write_sums(folder, known | dict(digests))


def forget_sums(folder: Path, names: Iterable[str]) -> None:
    """Take out of `SHA256SUMS` what is about to be rewritten."""
    try:
        known = read_sums(folder)
    except ValueError:
        known = {}
    if known.keys() & set(names):
        write_sums(folder, {name: digest for name, digest in known.items() if name not in names})


def write_listed(path: Path, content: bytes) -> None:
    """Add the checksum to `SHA256SUMS` beside `path`, then write the file.

    A crash between the two leaves what counts as damaged, and is for files that are made again.
    """
    add_sums(path.parent, {path.name: digest_of(content)})
    write_bytes_atomic(path, content)


def write_sums(folder: Path, digests: Mapping[str, str]) -> None:
    """Write `SHA256SUMS` of `folder`: {path relative to it: digest}."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    write_text_atomic(folder / SUMS, "".join(lines))


def read_sums(folder: Path) -> dict[str, str]:
    """What `write_sums` wrote; {} where there is no such file.

    Raises ValueError naming the file and line where it is torn.
    """
    path = folder / SUMS
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is damaged ({error})") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if not match:
            raise ValueError(f"{path}:{number}: is damaged: {line[:80]!r} is not a checksum")
        found[match[2]] = match[1]
    return found


def damage(folder: Path, wanted: Iterable[str] | None = None) -> list[str]:
    """What is wrong with the files of `folder` that `SHA256SUMS` lists, a sentence each.

    With `wanted`, of these alone, and one that is not listed is damage too.
    """
    try:
        sums = read_sums(folder)
    except ValueError as error:
        return [str(error)]
    if not sums:
        return [f"{folder / SUMS}: is missing or empty"]
    names = sorted(sums) if wanted is None else list(wanted)
    return [text for name in names if (text := _damage_of(folder, name, sums.get(name)))]


def _damage_of(folder: Path, name: str, digest: str | None) -> str | None:
    path = Path(os.path.normpath(folder / name))
    if digest is None:
        return f"{path}: has no checksum in {folder / SUMS}"
    try:
        found = file_digest(path)
    except FileNotFoundError:
        return f"{path}: is missing"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})"
    return None if found == digest else _other_bytes(path)
