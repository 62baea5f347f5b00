"""Tables of labelled and unlabelled faces as one: the same crops, wherever the images lie."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from five_points import faces as five
from rendered_faces import textures

from sesame_hpc.config.schema import AugmentConfig, DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.data.merge import pool_tables
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack
from sesame_hpc.data.pack.memory import cached_in_memory

SIZE = 32
PLAIN = AugmentConfig(jpeg=0.0, occlusion=0.0)


def settings(faces: Annotations) -> DataConfig:
    return DataConfig(root=faces.root, augment=PLAIN)


def crops(faces: Annotations) -> dict[int, np.ndarray]:
    loader = EvalLoader(faces, settings(faces), SIZE, batch_size=4, device=torch.device("cpu"))
    return {
        int(sample_id): image.numpy()
        for batch in loader
        for sample_id, image in zip(batch.sample_ids, batch.images, strict=True)
    }


def in_memory(faces: Annotations) -> Annotations:
    return cached_in_memory(faces, settings(faces), SIZE)


def in_a_pack(faces: Annotations) -> Annotations:
    out = faces.root.parent / f"{faces.root.name}-pack"
    write_pack({"train": faces}, out, PackSettings(size=SIZE, augment=PLAIN))
    return read_pack(out, "train")


def as_files(faces: Annotations) -> Annotations:
    return faces


@pytest.mark.parametrize("store", [as_files, in_memory, in_a_pack])
@pytest.mark.parametrize("store_others", [as_files, in_memory])
def test_each_face_has_the_crop_of_its_own_table(tmp_path, store, store_others):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    labelled = textures(tmp_path / "a", 5)
    others = replace(textures(tmp_path / "b", 6), sample_ids=np.arange(6) + (1 << 32))
    first, second = store(labelled), store_others(others.without_labels())
    pool = pool_tables([first, second])
    assert np.array_equal(pool.sample_ids, [*labelled.sample_ids, *others.sample_ids])
    assert pool.labelled.all(axis=1).tolist() == [True] * 5 + [False] * 6
    expected = crops(first) | crops(second)
    found = crops(pool)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in found)
    assert len({crop.tobytes() for crop in found.values()}) > 6


def test_what_a_pack_does_not_hold_is_noticed_in_a_pool_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    packed = in_a_pack(textures(tmp_path / "a", 5))
    others = replace(textures(tmp_path / "b", 2), sample_ids=np.arange(2) + (1 << 32))
    pool = pool_tables([packed, others])
    with pytest.raises(ValueError, match="is packed for crops of 32 pixels, but 64 are needed"):
        EvalLoader(pool, settings(packed), 64, batch_size=4, device=torch.device("cpu"))


def test_faces_of_several_schemes_and_ids_are_refused(tmp_path):
    with pytest.raises(ValueError, match="faces of several schemes"):
        pool_tables([five(["a.png"]), textures(tmp_path, 2)])
    with pytest.raises(ValueError, match="sample_ids: some repeat"):
        pool_tables([five(["a.png"]), five(["b.png"])])
