"""All parts of a data set, read once, for the checks to look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.choices import SPLITS, Split
from sesame_hpc.config.schema import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.check.images import ProbedImage
from sesame_hpc.data.check.probe import probe_tables
from sesame_hpc.data.check.sentinel_points import Sentinels, find_sentinels
from sesame_hpc.data.check.thumbnails import Thumbnail
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.parsed import Missing, Parsed, parse_result
from sesame_hpc.data.formats.readers import has_split, parse_annotations
from sesame_hpc.data.formats.registry import format_named
from sesame_hpc.data.pack.manifest import MANIFEST
from sesame_hpc.schemes import Scheme

__all__ = ["Face", "Inventory", "take_inventory"]


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a part: `path` is its image file, `landmarks` [K, 2] pixels.

    `thumbnail` is float16 [D], or None where its image was not looked at or shows nothing there.
    """

    split: Split
    source: str
    path: Path
    landmarks: NDArray[np.float64]
    thumbnail: Thumbnail | None


@dataclass(frozen=True)
class Inventory:
    """The parsed parts of the data set in `root`, and its images by path (maybe none).

    `box` says which crops evaluation takes.
    """

    root: Path
    format: str
    scheme: Scheme
    parts: dict[Split, Parsed]
    images: dict[Path, ProbedImage]
    box: BoxConfig

    def tables(self) -> Iterator[tuple[Split, Annotations]]:
        """The parts that have faces."""
        for split, parsed in self.parts.items():
            if len(parsed.faces):
                yield split, parsed.faces

    def sizes(self, table: Annotations) -> NDArray[np.float64]:
        """Width and height of each face's image [N, 2]; NaN where it was not looked at."""
        sizes = np.full((len(table), 2), np.nan)
        for row in range(len(table)):
            image = self.images.get(table.image_path(row))
            if image is not None and image.size is not None:
                sizes[row] = image.size
        return sizes

    @cached_property
    def sentinels(self) -> dict[Split, Sentinels]:
        """What may stand for missing points, of each part that has faces."""
        return {
            split: find_sentinels(table.landmarks, self.parts[split].shift, self.sizes(table))
            for split, table in self.tables()
        }

    def points(self, split: Split) -> NDArray[np.float64]:
        """A part's landmarks [N, K, 2], NaN where not labelled or where `sentinels` are."""
        landmarks, absent = self.parts[split].faces.landmarks, self.sentinels[split].points()
        return np.where(absent[:, :, None], np.nan, landmarks) if absent.any() else landmarks

    @cached_property
    def faces(self) -> list[Face]:
        """The faces of all parts in their order."""
        seen: dict[Path, int] = {}
        faces = []
        for split, table in self.tables():
            paths: dict[str, Path] = {}
            for row, (name, source) in enumerate(zip(table.images, table.sources, strict=True)):
                path = paths.setdefault(name, table.root / name)
                image = self.images.get(path)
                place = seen[path] = seen.get(path, -1) + 1
                thumbnail = image.thumbnails[place] if image and image.thumbnails else None
                faces.append(Face(split, source, path, table.landmarks[row], thumbnail))
        return faces


def take_inventory(
    root: Path,
    format: str,
    scheme: Scheme,
    *,
    box: BoxConfig,
    missing: Missing,
    threads: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Read every part of a data set and, where `threads` is a number, look at its images.

    Raises:
        FileNotFoundError: it has no part.
        ValueError: it is not clear which file is a part.
    """
    found = [split for split in SPLITS if has_split(root, format, split, scheme)]
    parts = {split: _parse(root, format, split, scheme, missing) for split in found or SPLITS[:1]}
    images: dict[Path, ProbedImage] = {}
    if threads is not None:
        tables = [parsed.faces for parsed in parts.values() if len(parsed.faces)]
        images = probe_tables(tables, threads, progress, neighbours=True)
    return Inventory(root, format, scheme, parts, images, box)


def _parse(root: Path, format: str, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
    """A part; one of a pack that cannot be read is one fault."""
    if not format_named(format).packed:
        return parse_annotations(root, format, split, scheme, missing)
    what = f"faces of {root}, {split}"
    try:
        return parse_annotations(root, format, split, scheme)
    except (FileNotFoundError, ValueError) as error:
        fault = Fault("pack", root / MANIFEST, f"the part {split} cannot be read: {error}")
        return parse_result(what, scheme, root, (), (fault,))
