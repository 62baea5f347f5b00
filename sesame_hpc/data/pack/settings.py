"""Settings of a pack, and what follows from them: what to store for each face, the fingerprint."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import square_windows
from sesame_hpc.data.pack.content import Plan
from sesame_hpc.data.pack.table import scheme_yaml
from sesame_hpc.data.windows import face_boxes, reach, tightest_sides

__all__ = ["LARGEST_SIZE", "SMALLEST_SIZE", "PackSettings", "fingerprint_of", "plans"]

FACES_PER_SHARD = 1024
SMALLEST_SIZE, LARGEST_SIZE = 8, 4096
"""Sides of crops in pixels, from those of the smallest networks to more than any face has."""

_FILTER_CELLS, _FILTER_PIXELS = 3, 2
"""The margin that `geometry.decode_window` adds around a crop, in crop and in image pixels."""


@dataclass(frozen=True)
class PackSettings:
    """How to pack.

    `size` is the side in pixels of the training crops; None keeps the original files. `margin` is
    the side of what is stored over the longer side of the face's box; None computes it from `box`
    and `augment`. `quality` is that of JPEG.
    """

    size: int | None = None
    margin: float | None = None
    quality: int = 95
    box: BoxConfig = field(default_factory=BoxConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    faces_per_shard: int = FACES_PER_SHARD

    def __post_init__(self) -> None:
        if self.size is not None and not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            raise ValueError(
                f"size is {self.size}; takes {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, the "
                "model.image_size to train at"
            )
        if self.margin is not None and self.margin <= 0:
            raise ValueError(f"margin is {self.margin}; takes a positive multiple of the box")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; takes 1 to 100")
        if self.size is None and self.margin is not None:
            raise ValueError("margin without a size: original files are packed whole")

    def to_json(self) -> dict[str, Any]:
        """The settings on which the stored images depend; fewer if files are kept as they are."""
        if self.size is None:
            return {"size": None, "faces_per_shard": self.faces_per_shard}
        asked = {"scale": self.box.scale, "train_scale": list(self.box.train_scale)}
        asked |= {"rotation": self.augment.rotation, "translation": self.augment.translation}
        return {
            "size": self.size,
            "margin": self.margin,
            "quality": self.quality,
            "protocol": self.box.protocol,
            "faces_per_shard": self.faces_per_shard,
            **asked,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "PackSettings":
        """The settings that `to_json` wrote; defaults for missing keys."""
        own = {key: content[key] for key in ("size", "margin", "quality") if key in content}
        box = {key: content[key] for key in ("protocol", "scale", "train_scale") if key in content}
        augment = {key: content[key] for key in ("rotation", "translation") if key in content}
        return cls(
            **own,
            faces_per_shard=content["faces_per_shard"],
            box=BoxConfig(**box),
            augment=AugmentConfig(**augment),
        )


def plans(faces: Annotations, settings: PackSettings) -> list[Plan] | None:
    """What to store for each face: all that augmentation can reach, and the margin of filters."""
    if settings.size is None:
        return None
    boxes = face_boxes(faces, settings.box.protocol)
    regions = reach(boxes, settings.box, settings.augment)
    if settings.margin is not None:
        centres, sides = square_windows(boxes, settings.margin)
        half = sides[:, None] / 2
        regions = np.concatenate([centres - half, centres + half], axis=1)
    tightest = tightest_sides(boxes, settings.box)
    widest = square_windows(boxes, max(settings.box.train_scale[1], settings.box.scale))[1]
    spare = _FILTER_CELLS * widest / settings.size + _FILTER_PIXELS
    regions += spare[:, None] * np.array([-1, -1, 1, 1])
    zooms = np.minimum(1, settings.size / tightest)
    return [
        Plan(region, float(zoom), settings.quality)
        for region, zoom in zip(regions, zooms, strict=True)
    ]


def fingerprint_of(faces: Annotations, settings: PackSettings) -> str:
    """A hash of faces and settings: 32 hexadecimal digits."""
    digest = hashlib.blake2b(json.dumps(settings.to_json()).encode(), digest_size=16)
    for array in (faces.sample_ids, faces.boxes):
        digest.update(np.ascontiguousarray(array).data)
    for _, points in faces.blocks():
        digest.update(np.ascontiguousarray(points).data)
    digest.update(np.ascontiguousarray(faces.attributes).data)
    if (faces.seen < 2).any():
        digest.update(np.ascontiguousarray(faces.seen).data)
    digest.update(json.dumps([list(faces.images), faces.attribute_names]).encode())
    digest.update(scheme_yaml(faces.scheme).encode())
    return digest.hexdigest()
