"""Writing packs shard by shard, so that an interrupted run can be resumed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.pack.content import Plan, Stored, stored_crop, stored_original
from sesame_hpc.data.pack.layout import open_shard, shard_name, write_shard
from sesame_hpc.data.pack.manifest import MANIFEST, VERSION, has_pack, read_manifest
from sesame_hpc.data.pack.read import SCHEME_FILE
from sesame_hpc.data.pack.settings import PackSettings, fingerprint_of, plans
from sesame_hpc.data.pack.table import scheme_yaml, write_table
from sesame_hpc.files import remove_leftovers, write_json_atomic, write_text_atomic
from sesame_hpc.lease import Lease
from sesame_hpc.process import usable_cores

__all__ = ["PackReport", "write_pack"]

_FACES_AT_ONCE = 128


@dataclass
class PackReport:
    """What was packed; `psnr` in dB of each crop that was encoded again, `kept` of the shards."""

    faces: int = 0
    encoded: int = 0
    psnr: list[float] = field(default_factory=list)
    shards: int = 0
    kept: int = 0
    bytes: int = 0


Advance = Callable[[int, int], None]


def write_pack(
    splits: dict[str, Annotations],
    out: Path,
    settings: PackSettings,
    *,
    workers: int | None = None,
    advance: Advance | None = None,
) -> PackReport:
    """Pack the `splits` (train, test) of a data set into the folder `out`.

    Resumes an interrupted call: complete shards are kept, and `pack.json` is written last.
    `workers` threads read and encode; None takes one per core. `advance` gets the number of faces
    done, and their total.

    Raises:
        FileExistsError: `out` holds another pack.
        FolderBusy: another process packs into it.
        FileNotFoundError, ValueError: an image cannot be packed; names its file and line.
    """
    with Lease(out, "packing into"):
        return _write_pack(splits, out, settings, workers, advance)


def _write_pack(
    splits: dict[str, Annotations],
    out: Path,
    settings: PackSettings,
    workers: int | None,
    advance: Advance | None,
) -> PackReport:
    scheme = next(iter(splits.values())).scheme
    described = _described(splits, settings)
    if has_pack(out) and read_manifest(out)["made_from"] != described:
        raise FileExistsError(
            f"{out} holds another pack (of other faces or settings); give another folder"
        )
    remove_leftovers(out)
    report, total = PackReport(), sum(map(len, splits.values()))
    write_text_atomic(out / SCHEME_FILE, scheme_yaml(scheme))
    packed = {}
    with ThreadPoolExecutor(workers or usable_cores(), "sesame-pack") as pool:
        for split, annotations in splits.items():
            shards = []
            for number, rows in enumerate(_shard_rows(len(annotations), settings)):
                name = shard_name(split, number)
                _pack_shard(out / name, annotations.select(rows), settings, pool, report)
                shards.append(name)
                report.faces += len(rows)
                if advance:
                    advance(report.faces, total)
            crc = write_table(out / f"{split}.npy", annotations)
            packed[split] = {
                "faces": len(annotations),
                "attributes": list(annotations.attribute_names),
                "table_crc": crc,
                "shards": shards,
            }
    manifest = {"version": VERSION, "made_from": described, "settings": settings.to_json()}
    write_json_atomic(out / MANIFEST, {**manifest, "parts": packed})
    return report


def _shard_rows(faces: int, settings: PackSettings) -> Iterator[NDArray[np.int64]]:
    for first in range(0, faces, settings.faces_per_shard):
        yield np.arange(first, min(faces, first + settings.faces_per_shard))


def _pack_shard(
    path: Path,
    faces: Annotations,
    settings: PackSettings,
    pool: ThreadPoolExecutor,
    report: PackReport,
) -> None:
    fingerprint = bytes.fromhex(fingerprint_of(faces, settings))
    report.shards += 1
    if _is_whole(path, fingerprint):
        report.kept += 1
    else:
        stored = _in_order(pool, partial(_store, faces, plans(faces, settings)), len(faces))
        write_shard(path, (_count(each, report).image for each in stored), fingerprint)
    report.bytes += path.stat().st_size


def _in_order(
    pool: ThreadPoolExecutor, store: Callable[[int], Stored], faces: int
) -> Iterator[Stored]:
    """In blocks, so that only a few images are in memory."""
    for first in range(0, faces, _FACES_AT_ONCE):
        yield from pool.map(store, range(first, min(faces, first + _FACES_AT_ONCE)))


def _count(stored: Stored, report: PackReport) -> Stored:
    if stored.psnr is not None:
        report.encoded += 1
        report.psnr.append(stored.psnr)
    return stored


def _is_whole(path: Path, fingerprint: bytes) -> bool:
    try:
        open_shard(path, fingerprint).verify()
    except (FileNotFoundError, ValueError):
        return False
    return True


def _store(faces: Annotations, plans: list[Plan] | None, row: int) -> Stored:
    path, sample_id = faces.image_path(row), int(faces.sample_ids[row])
    try:
        if plans is None:
            return stored_original(path, sample_id)
        return stored_crop(path, sample_id, plans[row])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} ({faces.sources[row]}): no such image") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} ({faces.sources[row]}): {error}") from error


def _described(splits: dict[str, Annotations], settings: PackSettings) -> dict[str, str]:
    return {split: fingerprint_of(faces, settings) for split, faces in splits.items()}
