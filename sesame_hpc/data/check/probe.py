"""The pictures of annotation tables, from files or a pack: one for each image name."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.pictures import Encoded, Picture, probe_pictures
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.pack.pictures import PackedPictures

__all__ = ["probe_tables"]


Progress = Callable[[int, int], None]


def probe_tables(
    tables: Sequence[Annotations], threads: int, progress: Progress | None = None
) -> dict[Path, Picture]:
    """Reads the pictures of all tables, and says of each image name what `Picture` says.

    Thumbnails of faces on one picture are in the order of tables and rows. In a pack, checksums
    and sizes are verified; where it stores crops, there is nothing to say of the original's kind.
    """
    packed = any(table.pack is not None for table in tables)
    return (_probe_pack if packed else _probe_files)(tables, threads, progress)


def _probe_files(
    tables: Sequence[Annotations], threads: int, progress: Progress | None
) -> dict[Path, Picture]:
    faces: dict[Path, list[NDArray[np.float64]]] = {}
    for table in tables:
        for row, landmarks in enumerate(table.landmarks):
            faces.setdefault(table.image_path(row), []).append(landmarks)
    images = [Encoded(path, path.read_bytes, landmarks) for path, landmarks in faces.items()]
    return {picture.path: picture for picture in probe_pictures(images, threads, progress)}


def _probe_pack(
    tables: Sequence[Annotations], threads: int, progress: Progress | None
) -> dict[Path, Picture]:
    places = [(table, row) for table in tables for row in range(len(table))]
    probed = probe_pictures([_encoded(*place) for place in places], threads, progress)
    pictures_of: dict[Path, list[Picture]] = {}
    for (table, row), picture in zip(places, probed, strict=True):
        pictures_of.setdefault(picture.path, []).append(_as_indexed(table, row, picture))
    return {path: _together(pictures) for path, pictures in pictures_of.items()}


def _pack(table: Annotations) -> PackedPictures:
    assert table.pack is not None, "the table of a pack"
    return table.pack


def _encoded(table: Annotations, row: int) -> Encoded:
    pack, landmarks = _pack(table), table.landmarks[row]
    sample_ids = table.sample_ids[[row]]
    if np.isin(sample_ids, pack.sample_ids)[0]:
        landmarks = apply(pack.matrices(sample_ids)[0], landmarks)

    def read() -> bytes:
        return pack.encoded(int(sample_ids[0])).tobytes()

    return Encoded(table.image_path(row), read, [landmarks])


def _as_indexed(table: Annotations, row: int, picture: Picture) -> Picture:
    """The picture with what the pack's index says of it, or what is wrong between the two."""
    sample_ids, problem = table.sample_ids[[row]], picture.problem
    if problem is None and picture.header is not None:
        (record,) = _pack(table).records(sample_ids)
        if record["original"]:
            return picture
        stored = tuple(map(int, record["stored"]))
        whole = tuple(map(int, record["picture"]))
        if stored == picture.header.upright_size:
            return replace(picture, header=None, cut_from=(whole[0], whole[1]))
        width, height = picture.header.upright_size
        problem = f"has {width} x {height} pixels, but {stored[0]} x {stored[1]} in the index"
    return replace(picture, problem=f"(sample {sample_ids[0]} of the pack) {problem}")


def _together(pictures: list[Picture]) -> Picture:
    digests = {picture.digest: None for picture in pictures}
    joined = hashlib.blake2b(b"".join(digests), digest_size=16).digest()
    return replace(
        pictures[0],
        problem=next((each.problem for each in pictures if each.problem is not None), None),
        damaged=any(picture.damaged for picture in pictures),
        digest=pictures[0].digest if len(digests) == 1 else joined,
        thumbnails=[each for picture in pictures for each in picture.thumbnails],
    )
