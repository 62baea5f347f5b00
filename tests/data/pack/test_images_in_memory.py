"""Images in memory: the same crops as from files, and errors in the place of bad images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rendered_faces import textures

from sesame_hpc.config.schema import AugmentConfig, BoxConfig, DataConfig
from sesame_hpc.data.loading.loader import EvalLoader, TrainLoader
from sesame_hpc.data.pack.memory import cached_in_memory

SIZE = 48
PLAIN = AugmentConfig(jpeg=0.0, occlusion=0.0)


def train(faces, **data):
    settings = DataConfig(root=faces.root, augment=PLAIN, **data)
    cached = cached_in_memory(faces, settings, SIZE)
    return [
        list(
            TrainLoader(
                each,
                settings,
                SIZE,
                batch_size=4,
                seed=5,
                stage="finetune",
                device=torch.device("cpu"),
            ).epoch(0)
        )
        for each in (faces, cached)
    ]


def test_training_sees_the_same_faces_at_the_same_places(tmp_path):
    plain, cached = train(textures(tmp_path, 9))
    for one, other in zip(plain, cached, strict=True):
        assert torch.equal(one.sample_ids, other.sample_ids)
        assert torch.equal(one.landmarks, other.landmarks)
        assert torch.equal(one.matrices, other.matrices)
        error = float((one.images - other.images).square().mean())
        assert -10 * np.log10(max(error, 1e-12)) > 35, "shrinking once more may cost this much"


def test_the_first_corner_of_a_region_is_that_of_what_is_stored(tmp_path):
    faces = textures(tmp_path, 3)
    settings = DataConfig(root=faces.root, box=BoxConfig(train_scale=(1.2, 1.2)), augment=PLAIN)
    images = cached_in_memory(faces, settings, SIZE).pack
    matrices, records = images.matrices(faces.sample_ids), images.records(faces.sample_ids)
    corners = records["region"][:, :2]
    moved = np.einsum("nij,nj->ni", matrices[:, :, :2], corners) + matrices[:, :, 2]
    np.testing.assert_allclose(moved, 0, atol=1e-9)


def test_a_bad_image_is_met_where_it_is_read(tmp_path):
    faces = textures(tmp_path, 5)
    (tmp_path / "texture1.jpg").write_bytes(b"this is not an image")
    settings = DataConfig(root=faces.root, augment=PLAIN)
    cached = cached_in_memory(faces, settings, SIZE)
    assert len(cached.pack.encoded(int(faces.sample_ids[0])))
    with pytest.raises(ValueError, match=r"texture1\.jpg \(faces\.txt:2\): .*cannot be decoded"):
        cached.pack.encoded(int(faces.sample_ids[1]))


def test_evaluation_of_cached_faces_works_for_their_own_crops(tmp_path):
    faces = textures(tmp_path, 4)
    settings = DataConfig(root=faces.root, augment=PLAIN)
    cached = cached_in_memory(faces, settings, SIZE)
    loader = EvalLoader(cached, settings, SIZE, batch_size=4, device=torch.device("cpu"))
    assert [len(batch.images) for batch in loader] == [4]


def test_faces_of_a_pack_stay_as_they_are(tmp_path):
    faces = textures(tmp_path, 2)
    settings = DataConfig(root=faces.root, augment=PLAIN)
    cached = cached_in_memory(faces, settings, SIZE)
    assert cached_in_memory(cached, settings, SIZE) is cached
    assert replace(cached, pack=None).pack is None
