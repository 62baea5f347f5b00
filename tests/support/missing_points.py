"""Rendered faces of which some points are not labelled, and others are marked as occluded."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sesame_hpc.choices import SPLITS
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.formats.registry import format_named

__all__ = ["with_missing", "write_missing"]


def with_missing(table: Annotations, seed: int = 0, occluded: float = 0.2) -> Annotations:
    """A seventh of the points is not labelled, and of every fourth face the whole outline.

    The share `occluded` of the others is occluded. Every tenth face lacks a point of the
    normaliser.
    """
    rng = np.random.default_rng(seed)
    missing = rng.random(table.landmarks.shape[:2]) < 1 / 7
    outline = list(table.scheme.regions.get("outline", next(iter(table.scheme.regions.values()))))
    missing[3::4, outline] = True
    missing[:, list(table.scheme.normaliser)] = False
    missing[4::10, table.scheme.normaliser[0]] = True
    hidden = rng.random(missing.shape) < occluded
    seen = np.where(missing, 0, np.where(hidden, 1, 2)).astype(np.uint8)
    landmarks = np.where(missing[..., None], np.nan, table.landmarks)
    return replace(table, landmarks=landmarks, visibility=seen)


def write_missing(faces: Path, root: Path, to: str = "coco", seed: int = 0) -> Path:
    """The WFLW set `faces` with points missing, in another format in the new folder `root`.

    Every other face from `seed` on is left out.
    """
    root.mkdir()
    writer = format_named(to).writer
    assert writer is not None
    (root / "images").symlink_to(faces / "WFLW_images")
    for split in SPLITS:
        table = read_annotations(faces, "wflw", split)
        table = with_missing(table.select(np.arange(seed % 2, len(table), 2)), seed)
        names = [image.removeprefix("WFLW_images/") for image in table.images]
        files = writer.files(table, split, [f"images/{name}" for name in names], None)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return root
