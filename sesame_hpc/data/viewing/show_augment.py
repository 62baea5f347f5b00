"""Each augmentation by itself, before and after, with the loaders of training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sesame_hpc.config.schema import AugmentConfig, DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader, TrainLoader
from sesame_hpc.data.viewing.draw import draw_face
from sesame_hpc.data.viewing.sheet import arrange, captioned, write_png
from sesame_hpc.schemes import Scheme

__all__ = ["AUGMENTATIONS", "augmentation_sheet", "batch_tiles", "single_augmentation"]

AUGMENTATIONS = (
    "flip",
    "rotation",
    "translation",
    "scaling",
    "brightness",
    "colour jitter",
    "grayscale",
    "jpeg",
    "occlusion",
)
"""The nine of the paper's section IV.C."""

_OFF: dict[str, float] = {
    "flip": 0,
    "rotation": 0,
    "translation": 0,
    "brightness": 0,
    "contrast": 0,
    "saturation": 0,
    "jpeg": 0,
    "grayscale": 0,
    "occlusion": 0,
}
_FIELDS = {"colour jitter": ("contrast", "saturation"), "scaling": ()}
_BY_CHANCE = ("flip", "grayscale", "jpeg", "occlusion")
_CPU = torch.device("cpu")


def single_augmentation(data: DataConfig, name: str) -> DataConfig:
    """`data` with the augmentation `name` alone, applied to every sample.

    Raises:
        ValueError: no such augmentation.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation is {name!r}; takes one of {', '.join(AUGMENTATIONS)}")
    fields = _FIELDS.get(name, (name,))
    changes: dict[str, Any] = {field: getattr(data.augment, field) for field in fields}
    changes |= {field: 1.0 for field in fields if field in _BY_CHANCE}
    scales = data.box.train_scale if name == "scaling" else (data.box.scale, data.box.scale)
    augment = AugmentConfig.model_validate({**data.augment.model_dump(), **_OFF, **changes})
    box = data.box.model_copy(update={"train_scale": scales})
    return data.model_copy(update={"augment": augment, "box": box})


def augmentation_sheet(
    annotations: Annotations, data: DataConfig, out: Path, size: int = 192, seed: int = 0
) -> Path:
    """Draw one row per face: its evaluation crop, then each augmentation alone.

    Writes the PNG `out` of crops of `size` pixels with their landmarks, and returns `out`.

    Raises:
        ValueError: no face, or an image that cannot be read.
    """
    if not len(annotations):
        raise ValueError("nothing to draw: the annotations have no face")
    columns = [_tiles(_plain(annotations, data, size), annotations, "as evaluated")]
    for name in AUGMENTATIONS:
        loader = TrainLoader(
            annotations,
            single_augmentation(data, name),
            size,
            batch_size=len(annotations),
            seed=seed,
            stage="show",
            device=_CPU,
        )
        columns.append(_tiles(next(loader.epoch(0)), annotations, name))
    tiles = [tile for row in zip(*columns, strict=True) for tile in row]
    write_png(arrange(tiles, len(columns)), out)
    return out


def batch_tiles(batch: Batch, scheme: Scheme | None = None) -> list[np.ndarray]:
    """The crops of a batch as uint8 RGB [S, S, 3], with landmarks if a scheme is given."""
    pixels = (batch.images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    if scheme is None:
        return list(pixels)
    points = batch.landmarks.cpu().numpy().astype(np.float64) * pixels.shape[1]
    if batch.labelled is not None:
        points[~batch.labelled.numpy()] = np.nan
    return [draw_face(tile, own, scheme) for tile, own in zip(pixels, points, strict=True)]


def _plain(annotations: Annotations, data: DataConfig, size: int) -> Batch:
    loader = EvalLoader(annotations, data, size, batch_size=len(annotations), device=_CPU)
    return next(iter(loader))


def _tiles(batch: Batch, annotations: Annotations, title: str) -> list[np.ndarray]:
    """Captioned crops in the order of the annotations."""
    place = {int(sample_id): i for i, sample_id in enumerate(batch.sample_ids)}
    tiles = batch_tiles(batch, annotations.scheme)
    return [captioned(tiles[place[int(sample)]], [title]) for sample in annotations.sample_ids]
