"""Copies of packs on the nodes' own disks, which are read in place of the shared pack.

`<folder>/sesame-<user id>/pack-<digest of pack.json>/` holds the files of one pack. A file gets its
name there once its checksums were found right in the copy, and pack.json comes last. So a copy that
was interrupted is completed, and one that is complete is reused, by any job of the same user.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from sesame_hpc.data.pack.layout import open_shard
from sesame_hpc.data.pack.manifest import MANIFEST, read_manifest
from sesame_hpc.data.pack.table import file_crc
from sesame_hpc.files import replacing, write_bytes_atomic

if sys.platform != "win32":
    import fcntl

__all__ = ["stage_pack", "staged_copy", "use_staged"]

_BLOCK = 1 << 22
_TENTHS = 10
_SPARE_BYTES = 1 << 28
"""What a copy leaves free on the node's disk."""

_staged: dict[Path, Path] = {}


def staged_copy(root: Path) -> Path:
    """Where this process reads the table and the shards of the pack in `root`."""
    return _staged.get(Path(os.path.abspath(root)), root)


def use_staged(root: Path, copy: Path | None) -> None:
    """Read the pack in `root` from `copy` from now on; None: from `root` itself."""
    _staged.pop(Path(os.path.abspath(root)), None)
    if copy is not None:
        _staged[Path(os.path.abspath(root))] = copy


def stage_pack(root: Path, folder: Path, tell: Callable[[str], None]) -> Path:
    """The complete copy of the pack in `root` below `folder`, made or completed where it is not.

    Of several processes on the node one copies, and the others wait. `tell` gets a line at the
    beginning, at each tenth, and at the end.

    Raises:
        OSError: it cannot be written there, or there is not enough room.
        ValueError: a checksum of the copy is not that of the pack.
    """
    manifest = read_manifest(root)
    content = (root / MANIFEST).read_bytes()
    own = folder / f"sesame-{os.getuid()}"
    _make_private(own)
    copy = own / f"pack-{blake2b(content, digest_size=16).hexdigest()}"
    with _lock(copy.with_suffix(".lock")):
        crcs = {f"{split}.npy": part["table_crc"] for split, part in manifest["parts"].items()}
        shards = [name for part in manifest["parts"].values() for name in part["shards"]]
        names = [*crcs, *shards]
        if (copy / MANIFEST).is_file() and not _missing(root, copy, names):
            tell(f"{root}: read from its copy in {copy}, which was there")
            return copy
        _copy_files(root, copy, names, crcs, tell)
        write_bytes_atomic(copy / MANIFEST, content)
    return copy


def _copy_files(
    root: Path, copy: Path, names: list[str], crcs: dict[str, int], tell: Callable[[str], None]
) -> None:
    copy.mkdir(mode=0o700, exist_ok=True)
    sizes = {name: (root / name).stat().st_size for name in names}
    total, missing = sum(sizes.values()), _missing(root, copy, names)
    needed, free = sum(sizes[name] for name in missing), shutil.disk_usage(copy).free
    if needed + _SPARE_BYTES > free:
        raise OSError(f"{copy}: {_size(needed)} to be copied, and {_size(free)} free")
    done, begun = total - needed, time.monotonic()
    tell(f"{root}: copying {_size(needed)} of {_size(total)} to {copy}")
    for name in missing:
        with replacing(copy / name) as partial:
            shutil.copyfile(root / name, partial)
            _verify(partial, crcs.get(name))
        before, done = done, done + sizes[name]
        if done < total and _TENTHS * done // total > _TENTHS * before // total:
            tell(f"{root}: {_size(done)} of {_size(total)} copied and verified")
    seconds = time.monotonic() - begun
    tell(f"{root}: copied and verified in {seconds:.1f} s; it is read from {copy}")


def _missing(root: Path, copy: Path, names: list[str]) -> list[str]:
    """Files that the copy lacks or has in another size: sites remove old files one by one."""
    return [
        name
        for name in names
        if not (copy / name).is_file()
        or (copy / name).stat().st_size != (root / name).stat().st_size
    ]


def _verify(path: Path, crc: int | None) -> None:
    """A table by its checksum in the manifest, a shard by those in its index."""
    if crc is None:
        open_shard(path).verify()
    elif file_crc(path) != crc:
        raise ValueError(f"{path}: its checksum differs: the pack or its copy is damaged")


def _make_private(folder: Path) -> None:
    """A folder of this user alone: others could exchange what training reads."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder}: belongs to another user, or others may write to it")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
