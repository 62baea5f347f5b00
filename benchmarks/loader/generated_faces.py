"""A WFLW folder of any number of generated faces on a few images, written in seconds."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.wflw import ATTRIBUTES, IMAGES, list_path
from sesame_hpc.data.pack import PackSettings
from sesame_hpc.data.pack.layout import StoredImage, shard_name, write_shard
from sesame_hpc.data.pack.manifest import MANIFEST, VERSION
from sesame_hpc.data.pack.read import SCHEME_FILE
from sesame_hpc.data.pack.table import scheme_yaml, write_table
from sesame_hpc.data.string_column import StringColumn
from sesame_hpc.files import make_folder, replacing, write_json_atomic, write_text_atomic

__all__ = ["write_generated", "write_packed"]

_IMAGES, _SIDE = 8, 512
_FACES_AT_ONCE, _NOISE = 4096, 0.01
_SMOOTH, _DETAILED = (2, 6, 18), (0.5, 6)
_STEPS = 4
"""Coordinates are multiples of a quarter of a pixel, whose texts are looked up."""


def write_generated(root: Path, faces: int, shapes: Annotations, seed: int = 0) -> None:
    """`faces` faces of the scheme of `shapes`, at random places and sizes on random textures.

    They have the mean of those shapes, each point to within 1 % of its side.
    """
    generator = np.random.default_rng(seed)
    make_folder(root / IMAGES)
    for number in range(_IMAGES):
        cv2.imwrite(str(root / IMAGES / _name(number)), _texture(generator))
    texts = [f"{value / _STEPS:g}" for value in range(_STEPS * _SIDE + 1)]
    path = root / list_path("train", shapes.scheme.num_landmarks)
    with replacing(path) as partial, partial.open("w") as file:
        for first in range(0, faces, _FACES_AT_ONCE):
            count = min(_FACES_AT_ONCE, faces - first)
            numbers = _numbers(shapes, count, generator)
            names = generator.integers(_IMAGES, size=count).tolist()
            for row, name in zip(numbers.tolist(), names, strict=True):
                spelled = " ".join([texts[value] for value in row])
                file.write(f"{spelled} 0 0 0 0 0 0 {_name(name)}\n")


def write_packed(
    out: Path, faces: int, shapes: Annotations, seed: int = 0, own_images: bool = False
) -> None:
    """As `sesame data pack` would pack the faces of `write_generated`, without a list to read.

    With `own_images`, each face has an image to itself, of some 260 kB.
    """
    make_folder(out)
    generator = np.random.default_rng(seed)
    textures = [_texture(generator, _DETAILED if own_images else _SMOOTH) for _ in range(_IMAGES)]
    images = [cv2.imencode(".jpg", texture)[1].tobytes() for texture in textures]
    numbers = np.concatenate(
        [
            _numbers(shapes, min(_FACES_AT_ONCE, faces - first), generator)
            for first in range(0, faces, _FACES_AT_ONCE)
        ]
    )
    points = 2 * shapes.scheme.num_landmarks
    chosen = generator.integers(_IMAGES, size=faces).tolist()
    names = range(faces) if own_images else chosen
    table = Annotations(
        scheme=shapes.scheme,
        root=out,
        images=StringColumn(_name(number) for number in names),
        boxes=numbers[:, points:] / _STEPS,
        landmarks=(numbers[:, :points] / _STEPS).reshape(faces, -1, 2),
        attributes=np.zeros((faces, len(ATTRIBUTES)), np.bool_),
        attribute_names=ATTRIBUTES,
        sources=StringColumn(f"{list_path('train')}:{row + 1}" for row in range(faces)),
        sample_ids=np.arange(faces, dtype=np.int64),
    )
    settings = PackSettings()
    shards = []
    for number, first in enumerate(range(0, faces, settings.faces_per_shard)):
        rows = range(first, min(faces, first + settings.faces_per_shard))
        shards.append(shard_name("train", number))
        stored = (_stored(row, images[chosen[row]], names[row]) for row in rows)
        write_shard(out / shards[-1], stored, bytes(16))
    part = {
        "faces": faces,
        "attributes": list(ATTRIBUTES),
        "table_crc": write_table(out / "train.npy", table),
        "shards": shards,
    }
    write_text_atomic(out / SCHEME_FILE, scheme_yaml(shapes.scheme))
    about = {"version": VERSION, "made_from": {}, "settings": settings.to_json()}
    write_json_atomic(out / MANIFEST, {**about, "parts": {"train": part}})


def _stored(row: int, encoded: bytes, image: int) -> StoredImage:
    return StoredImage(row, _name(image), encoded, True, (0, 0, 0, 0), (0, 0), (0, 0))


def _name(number: int) -> str:
    return f"texture_{number}.jpg"


def _texture(
    generator: np.random.Generator, scales: tuple[float, ...] = _SMOOTH
) -> NDArray[np.uint8]:
    """Noise at several scales, in pixels; uint8 [side, side, 3]."""
    total = np.zeros((_SIDE, _SIDE, 3))
    for sigma in scales:
        noise = cv2.GaussianBlur(generator.standard_normal((_SIDE, _SIDE, 3)), (0, 0), sigma)
        total += noise / noise.std()
    return np.clip(128 + 40 * total, 0, 255).astype(np.uint8)


def _numbers(shapes: Annotations, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Landmarks and box of faces, [count, 2 K + 4], in quarters of a pixel within the image."""
    low, high = shapes.landmarks.min(axis=1), shapes.landmarks.max(axis=1)
    extents = (high - low).max(axis=1)[:, None, None]
    mean = ((shapes.landmarks - low[:, None]) / extents).mean(axis=0)
    noise = generator.uniform(-_NOISE, _NOISE, (count, *mean.shape))
    sides = generator.uniform(60, 200, (count, 1))
    points = np.clip(mean + noise, 0, 1) * sides[:, None]
    points += generator.uniform(0, _SIDE - sides, (count, 2))[:, None]
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    numbers = np.concatenate([points.reshape(count, -1), boxes], axis=1)
    return np.rint(numbers * _STEPS).astype(np.int64)
