"""Which points of a batch are labelled: through flips, rotations, substitutes and packs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_faces import textures

from sesame_hpc.config import AugmentConfig, DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import EvalLoader, TrainLoader
from sesame_hpc.data.pack.memory import cached_in_memory
from sesame_hpc.data.viewing.show_augment import batch_tiles

SIZE = 32
CPU = torch.device("cpu")
MISSING = [(0, 1), (2, 0), (2, 1), (3, 3), (5, 2)]
"""Rows and points that are not labelled."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    return textures(tmp_path_factory.mktemp("faces"), 8)


@pytest.fixture(scope="module")
def faces(whole: Annotations) -> Annotations:
    landmarks = whole.landmarks.copy()
    landmarks[tuple(zip(*MISSING, strict=True))] = np.nan
    return replace(whole, landmarks=landmarks, visibility=None)


def config(root: Path, flip: float) -> DataConfig:
    return DataConfig(root=root, augment=AugmentConfig(flip=flip, rotation=40.0))


def batch_of(faces: Annotations, flip: float):
    loader = TrainLoader(
        faces,
        config(faces.root, flip),
        SIZE,
        batch_size=len(faces),
        seed=1,
        stage="finetune",
        device=CPU,
    )
    return next(loader.epoch(0))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_they_follow_the_points_through_a_mirrored_crop(faces, whole, flip) -> None:
    batch, complete = batch_of(faces, flip), batch_of(whole, flip)
    assert complete.labelled is None
    assert batch.labelled is not None
    rows = {int(sample): row for row, sample in enumerate(faces.sample_ids)}
    mirror = list(faces.scheme.mirror)
    for place, sample in enumerate(batch.sample_ids.tolist()):
        expected = faces.labelled[rows[sample]]
        expected = expected[mirror] if flip else expected
        assert batch.labelled[place].tolist() == expected.tolist()
    kept = batch.labelled
    assert torch.equal(batch.landmarks[kept], complete.landmarks[kept])
    assert (batch.landmarks[~kept] == 0.5).all()
    assert torch.equal(batch.images, complete.images)


def test_evaluation_has_them_too(faces) -> None:
    loader = EvalLoader(faces, config(faces.root, 0), SIZE, batch_size=5, device=CPU)
    for batch in loader:
        rows = [list(faces.sample_ids).index(sample) for sample in batch.sample_ids.tolist()]
        assert batch.labelled is not None
        np.testing.assert_array_equal(batch.labelled.numpy(), faces.labelled[rows])


def test_boxes_of_landmarks_are_those_of_the_labelled_ones(faces) -> None:
    data = config(faces.root, 0)
    data = data.model_copy(update={"box": data.box.model_copy(update={"protocol": "landmarks"})})
    for batch in EvalLoader(faces, data, SIZE, batch_size=4, device=CPU):
        assert np.isfinite(batch.matrices.numpy()).all()
        assert batch.images.isfinite().all()


def test_images_in_memory_keep_them(faces) -> None:
    cached = cached_in_memory(faces, config(faces.root, 0.5), SIZE)
    first, second = batch_of(faces, 0.5), batch_of(cached, 0.5)
    assert first.labelled is not None
    assert second.labelled is not None
    assert torch.equal(first.labelled, second.labelled)


def test_drawings_leave_them_out(faces, whole) -> None:
    """A face with all points, drawn from both tables, and one that lacks one."""
    batch, complete = batch_of(faces, 0.0), batch_of(whole, 0.0)
    place = {int(sample): at for at, sample in enumerate(batch.sample_ids.tolist())}
    drawn, full = batch_tiles(batch, faces.scheme), batch_tiles(complete, faces.scheme)
    one, other = (place[int(faces.sample_ids[row])] for row in (1, 2))
    assert np.array_equal(drawn[one], full[one])
    assert not np.array_equal(drawn[other], full[other])
