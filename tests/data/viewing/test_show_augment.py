"""The sheet of augmentations: each column shows its augmentation and no other."""

import numpy as np
import pytest
import torch
from rendered_faces import textures

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.geometry import crop_matrix
from sesame_hpc.data.loading.loader import Batch, EvalLoader, TrainLoader
from sesame_hpc.data.viewing.face_image import read_rgb
from sesame_hpc.data.viewing.sheet import arrange, captioned
from sesame_hpc.data.viewing.show_augment import (
    AUGMENTATIONS,
    augmentation_sheet,
    single_augmentation,
)

GEOMETRY = ("flip", "rotation", "translation", "scaling")
CPU = torch.device("cpu")


@pytest.fixture
def faces(tmp_path):
    return textures(tmp_path, 4)


def augmented(faces, data: DataConfig) -> Batch:
    loader = TrainLoader(faces, data, 64, batch_size=4, seed=5, stage="show", device=CPU)
    return next(loader.epoch(0))


def plain_images(faces, data: DataConfig, batch: Batch) -> torch.Tensor:
    plain = next(iter(EvalLoader(faces, data, 64, batch_size=4, device=CPU)))
    place = {int(sample_id): row for row, sample_id in enumerate(plain.sample_ids)}
    return plain.images[[place[int(sample_id)] for sample_id in batch.sample_ids]]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_one_augmentation_is_on_and_no_other(faces, tmp_path, name):
    data = DataConfig(root=tmp_path)
    batch = augmented(faces, single_augmentation(data, name))
    rows = [faces.sample_ids.tolist().index(int(each)) for each in batch.sample_ids]
    matrices = crop_matrix(faces.boxes[rows], 64, scale=data.box.scale)
    moved = np.abs(batch.matrices.numpy() - matrices).max(axis=(1, 2)) > 1e-9
    assert moved.all() if name in GEOMETRY else not moved.any()
    change = (batch.images - plain_images(faces, data, batch)).abs()
    assert (change.amax(dim=(1, 2, 3)) > 0.01).all()
    grey = (batch.images.amax(dim=1) - batch.images.amin(dim=1)).amax(dim=(1, 2)) < 0.02
    assert bool(grey.all()) == (name == "grayscale")


def test_flip_is_the_mirrored_crop(faces, tmp_path):
    data = DataConfig(root=tmp_path)
    batch = augmented(faces, single_augmentation(data, "flip"))
    plain = plain_images(faces, data, batch)
    assert (batch.images - plain.flip(-1)).abs().mean() < 0.01


def test_unknown_augmentations_are_named(tmp_path):
    with pytest.raises(ValueError, match="augmentation is 'blur'; takes one of flip, rotation"):
        single_augmentation(DataConfig(root=tmp_path), "blur")


def test_the_sheet_has_a_row_a_face_and_a_column_an_augmentation(faces, tmp_path):
    out = augmentation_sheet(faces, DataConfig(root=tmp_path), tmp_path / "sheet.png", size=64)
    assert read_rgb(out).shape == (4 * (64 + 20 + 4) + 4, 10 * (64 + 4) + 4, 3)
    with pytest.raises(ValueError, match="have no face"):
        augmentation_sheet(faces.select(np.zeros(0, np.int64)), DataConfig(root=tmp_path), out)


def test_tiles_are_arranged_row_by_row():
    tiles = [captioned(np.full((8, 16, 3), 50 * i, np.uint8), ["a"]) for i in range(1, 4)]
    sheet = arrange(tiles, 2)
    assert sheet.shape == (2 * (8 + 20 + 4) + 4, 2 * (16 + 4) + 4, 3)
    assert [sheet[y, x, 0] for y, x in ((5, 5), (5, 25), (37, 5), (37, 25))] == [50, 100, 150, 48]
