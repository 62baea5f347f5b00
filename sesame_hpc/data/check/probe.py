"""The images of annotation tables, from files or a pack: one for each image name."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.images import Encoded, Landmarks, ProbedImage, probe_images
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.pack.images import StoredImages

__all__ = ["probe_tables"]


Progress = Callable[[int, int], None]


def probe_tables(
    tables: Sequence[Annotations],
    threads: int,
    progress: Progress | None = None,
    neighbours: bool = False,
) -> dict[Path, ProbedImage]:
    """Reads the images of all tables, and says of each image name what `ProbedImage` says.

    Thumbnails of faces on one image are in the order of tables and rows. With `neighbours`, an
    image of one face has those of the rows before and after it too, except in a pack.

    In a pack, checksums and sizes are verified; where it stores crops, there is nothing to say of
    the original's kind.
    """
    if any(table.pack is not None for table in tables):
        return _probe_pack(tables, threads, progress)
    return _probe_files(tables, threads, progress, neighbours)


def _probe_files(
    tables: Sequence[Annotations], threads: int, progress: Progress | None, neighbours: bool
) -> dict[Path, ProbedImage]:
    places: dict[Path, list[tuple[Annotations, int]]] = {}
    for table in tables:
        for row in range(len(table)):
            places.setdefault(table.image_path(row), []).append((table, row))
    images = [
        Encoded(
            path,
            path.read_bytes,
            [table.landmarks[row] for table, row in own],
            _beside(*own[0]) if neighbours and len(own) == 1 else (None, None),
        )
        for path, own in places.items()
    ]
    return {image.path: image for image in probe_images(images, threads, progress)}


def _beside(table: Annotations, row: int) -> tuple[Landmarks | None, Landmarks | None]:
    """The landmarks of the rows before and after a row."""
    before = table.landmarks[row - 1] if row else None
    return before, table.landmarks[row + 1] if row + 1 < len(table) else None


def _probe_pack(
    tables: Sequence[Annotations], threads: int, progress: Progress | None
) -> dict[Path, ProbedImage]:
    places = [(table, row) for table in tables for row in range(len(table))]
    probed = probe_images([_encoded(*place) for place in places], threads, progress)
    images_of: dict[Path, list[ProbedImage]] = {}
    for (table, row), image in zip(places, probed, strict=True):
        images_of.setdefault(image.path, []).append(_as_indexed(table, row, image))
    return {path: _together(images) for path, images in images_of.items()}


def _pack(table: Annotations) -> StoredImages:
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


def _as_indexed(table: Annotations, row: int, image: ProbedImage) -> ProbedImage:
    """The image with what the pack's index says of it, or what is wrong between the two."""
    sample_ids, problem = table.sample_ids[[row]], image.problem
    if problem is None and image.header is not None:
        (record,) = _pack(table).records(sample_ids)
        if record["original"]:
            return image
        stored = tuple(map(int, record["stored"]))
        whole = tuple(map(int, record["image"]))
        if stored == image.header.upright_size:
            return replace(image, header=None, cut_from=(whole[0], whole[1]))
        width, height = image.header.upright_size
        problem = f"has {width} x {height} pixels, but {stored[0]} x {stored[1]} in the index"
    return replace(image, problem=f"(sample {sample_ids[0]} of the pack) {problem}")


def _together(images: list[ProbedImage]) -> ProbedImage:
    digests = {image.digest: None for image in images}
    joined = hashlib.blake2b(b"".join(digests), digest_size=16).digest()
    return replace(
        images[0],
        problem=next((each.problem for each in images if each.problem is not None), None),
        damaged=any(image.damaged for image in images),
        digest=images[0].digest if len(digests) == 1 else joined,
        thumbnails=[each for image in images for each in image.thumbnails],
    )
