"""Packs: what goes in comes out, whole or not at all."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rendered_faces
import torch
from rendered_faces import dots, textures

from sesame_hpc.config.schema import AugmentConfig, BoxConfig, DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import SPLITS, has_split, read_annotations
from sesame_hpc.data.loading.loader import EvalLoader, TrainLoader
from sesame_hpc.data.pack import PackSettings, has_pack_split, read_pack, write_pack

SIZE = 48
CPU = torch.device("cpu")
ARRAYS = ("boxes", "landmarks", "attributes", "sample_ids")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Annotations:
    """Eleven textures, two of them of one file, with attributes."""
    faces = textures(tmp_path_factory.mktemp("faces"), 11)
    images = (*faces.images[:10], faces.images[9])
    attributes = np.arange(22).reshape(11, 2) % 3 == 0
    return replace(faces, images=images, attributes=attributes, attribute_names=("blur", "make-up"))


def packed(faces: Annotations, out: Path, **settings) -> Annotations:
    write_pack({"train": faces}, out, PackSettings(**settings))
    return read_annotations(out, "pack", "train")


def epoch(faces: Annotations, rank: int = 0, world_size: int = 1, **data) -> list:
    loader = TrainLoader(
        faces,
        DataConfig(root=faces.root, **data),
        SIZE,
        batch_size=4 // world_size,
        seed=5,
        stage="finetune",
        device=CPU,
        rank=rank,
        world_size=world_size,
    )
    return samples(loader.epoch(0))


def samples(batches) -> list[tuple[int, bytes, bytes, bytes]]:
    return [
        (int(i), image.numpy().tobytes(), points.numpy().tobytes(), matrix.numpy().tobytes())
        for batch in batches
        for i, image, points, matrix in zip(
            batch.sample_ids, batch.images, batch.landmarks, batch.matrices, strict=True
        )
    ]


@pytest.mark.parametrize("size", [None, SIZE], ids=["originals", "crops"])
def test_annotations_come_back_as_they_were(faces, tmp_path, size):
    again = packed(faces, tmp_path / "pack", size=size, faces_per_shard=4)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(faces, name))
    for name in ("images", "sources", "attribute_names", "scheme"):
        assert getattr(again, name) == getattr(faces, name)
    assert len(list((tmp_path / "pack").glob("train-*.shard"))) == 3


@pytest.mark.parametrize("size", [None, SIZE], ids=["originals", "crops"])
def test_what_is_missing_or_occluded_comes_back(faces, tmp_path, size):
    landmarks, seen = faces.landmarks.copy(), np.full(faces.landmarks.shape[:2], 2, np.uint8)
    landmarks[3, 1], seen[3, 1], seen[5, 2] = np.nan, 0, 1
    some = replace(faces, landmarks=landmarks, visibility=seen)
    again = packed(some, tmp_path / "pack", size=size)
    assert np.array_equal(again.landmarks, some.landmarks, equal_nan=True)
    assert np.array_equal(again.seen, seen)


def test_parts_stay_apart(faces, tmp_path):
    parts = {"train": faces.select(np.arange(8)), "test": faces.select(np.arange(8, 11))}
    write_pack(parts, tmp_path, PackSettings())
    for split in SPLITS:
        part = parts[split]
        assert has_split(tmp_path, "pack", split)
        again = read_annotations(tmp_path, "pack", split)
        np.testing.assert_array_equal(again.sample_ids, part.sample_ids)
    assert not has_pack_split(tmp_path / "elsewhere", "train")


def test_original_files_give_the_same_samples_bit_for_bit(faces, tmp_path):
    again = packed(faces, tmp_path / "pack", faces_per_shard=4)
    assert epoch(again) == epoch(faces)
    assert epoch(again, box={"protocol": "letterbox"}) == epoch(
        faces, box={"protocol": "letterbox"}
    )
    ranks = [epoch(again, rank=rank, world_size=2) for rank in (0, 1)]
    assert sorted(ranks[0] + ranks[1]) == sorted(epoch(faces))


def test_an_image_of_two_faces_is_stored_once(faces, tmp_path):
    packed(faces, tmp_path / "pack")
    files = sum((faces.root / name).stat().st_size for name in set(faces.images))
    assert (tmp_path / "pack" / "train-00000.shard").stat().st_size < files + 4096


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_evaluation_of_a_pack_visits_every_face_once(faces, tmp_path, world_size, batch_size):
    again = packed(faces, tmp_path / "pack", size=SIZE)
    ids = [
        int(i)
        for rank in range(world_size)
        for batch in EvalLoader(
            again,
            DataConfig(root=again.root),
            SIZE,
            batch_size=batch_size,
            device=CPU,
            rank=rank,
            world_size=world_size,
        )
        for i in batch.sample_ids
    ]
    assert sorted(ids) == faces.sample_ids.tolist()


def test_shrunk_crops_look_like_the_images(tmp_path):
    """Dots twice as large as training needs: the crops differ by what JPEG costs, no more."""
    (tmp_path / "files").mkdir()
    faces = dots(tmp_path / "files", 6, 4 * SIZE)
    again = packed(faces, tmp_path / "pack", size=SIZE)
    stored = sum(path.stat().st_size for path in (tmp_path / "pack").glob("*.shard"))
    assert stored < 0.2 * sum(path.stat().st_size for path in (tmp_path / "files").iterdir())

    def crops(annotations: Annotations) -> torch.Tensor:
        data = DataConfig(root=annotations.root, augment=AugmentConfig(jpeg=0.0))
        loader = TrainLoader(
            annotations, data, SIZE, batch_size=6, seed=0, stage="finetune", device=CPU
        )
        return next(loader.epoch(0)).images

    difference = crops(again) - crops(faces)
    assert 0 < difference.square().mean().sqrt() < 0.02


@pytest.mark.parametrize("box", [{}, {"protocol": "landmarks"}, {"train_scale": (1.0, 2.0)}])
def test_a_pack_holds_all_that_augmentation_asks_for(tmp_path, box):
    """Small faces in the middle: whatever is not packed would be black."""
    faces = textures(tmp_path, 8)
    low = np.array([52.0, 37.0]) + np.arange(8)[:, None]
    faces = replace(faces, boxes=np.concatenate([low, low + 12], axis=1))
    corners = np.array([[0, 0], [12, 0], [0, 12], [12, 12]])
    faces = replace(faces, landmarks=low[:, None] + corners)
    settings = BoxConfig(**box)
    again = packed(faces, tmp_path / "pack", size=8, box=settings)
    assert not any(record["original"] for record in again.pack._records)
    data = DataConfig(root=tmp_path, box=settings, augment=AugmentConfig(occlusion=0, jpeg=0))

    def crops(annotations: Annotations) -> torch.Tensor:
        loader = TrainLoader(annotations, data, 8, batch_size=8, seed=0, stage="s", device=CPU)
        return torch.cat([next(loader.epoch(number)).images for number in range(12)])

    difference = (crops(again) - crops(faces)).abs()
    assert difference.mean() < 0.02
    assert difference.max() < 0.4


def test_augmentation_beyond_the_pack_is_refused(tmp_path):
    faces = dots(tmp_path, 3, 100)
    again = packed(faces, tmp_path / "pack", size=SIZE, box=BoxConfig(train_scale=(1.0, 1.2)))
    with pytest.raises(ValueError, match=r"need more than is packed of 3 of 3 faces.*--margin"):
        epoch(again)
    with pytest.raises(ValueError, match="packed for crops of 32 pixels, but 48"):
        epoch(packed(faces, tmp_path / "small", size=32))


@pytest.mark.parametrize("size", [-1, 0, 1, 7, 4097])
def test_sizes_that_no_network_trains_at_are_refused(size):
    with pytest.raises(ValueError, match=rf"size is {size}; takes 8 to 4096 pixels"):
        PackSettings(size=size)


def test_a_changed_byte_is_named_by_shard_and_sample(faces, tmp_path):
    packed(faces, tmp_path / "pack", faces_per_shard=4)
    path = tmp_path / "pack" / "train-00001.shard"
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    again = read_pack(tmp_path / "pack", "train")
    sample = int(faces.sample_ids[4])
    with pytest.raises(ValueError, match=rf"train-00001\.shard: the checksum of sample {sample} "):
        list(EvalLoader(again, DataConfig(root=again.root), SIZE, batch_size=4, device=CPU))
    write_pack({"train": faces}, tmp_path / "pack", PackSettings(faces_per_shard=4))
    assert epoch(read_pack(tmp_path / "pack", "train")) == epoch(faces)


@pytest.mark.parametrize("damage", ["cut", "index", "missing"])
def test_a_shard_that_is_not_whole_is_never_read(faces, tmp_path, damage):
    packed(faces, tmp_path)
    path = tmp_path / "train-00000.shard"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content if damage == "index" else content[: len(content) // 2])
    with pytest.raises((ValueError, FileNotFoundError), match=r"train-00000\.shard: .*pack the"):
        read_pack(tmp_path, "train")


def test_a_changed_table_is_found(faces, tmp_path):
    packed(faces, tmp_path)
    content = bytearray((tmp_path / "train.npy").read_bytes())
    content[-9] ^= 1
    (tmp_path / "train.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.npy: its checksum differs"):
        read_pack(tmp_path, "train")


def test_what_was_not_finished_is_no_pack(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a complete pack"):
        read_annotations(tmp_path, "pack", "train")


def test_another_pack_is_not_overwritten(faces, tmp_path):
    packed(faces, tmp_path)
    with pytest.raises(FileExistsError, match="holds another pack"):
        packed(faces, tmp_path, size=SIZE)


def test_a_missing_image_is_named_with_its_line(tmp_path):
    faces = textures(tmp_path, 3)
    (tmp_path / "texture1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"texture1\.jpg \(faces\.txt:2\): no such"):
        packed(faces, tmp_path / "pack")


def test_an_image_that_does_not_decode_is_named_with_its_line(tmp_path):
    faces = textures(tmp_path, 3)
    (tmp_path / "texture1.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"texture1\.jpg \(faces\.txt:2\): .*cannot be decoded"):
        packed(faces, tmp_path / "pack", size=SIZE)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from rendered_faces import textures
from sesame_hpc.data.pack import PackSettings, write_pack, content

faces = textures(Path({faces!r}), 9)
crop = content.stored_crop
def killed_at_the_sixth(path, sample_id, plan):
    if path.name.startswith("texture5"):
        os.kill(os.getpid(), signal.SIGKILL)
    return crop(path, sample_id, plan)
from sesame_hpc.data.pack import write
write.stored_crop = killed_at_the_sixth
write_pack({{"train": faces}}, Path({out!r}), PackSettings(size=16, faces_per_shard=2), workers=1)
"""


def test_a_killed_pack_goes_on_and_ends_with_the_same_bytes(tmp_path):
    files, out, whole = (tmp_path / name for name in ("files", "out", "whole"))
    files.mkdir()
    program = KILLED.format(
        tests=str(Path(rendered_faces.__file__).parent), faces=str(files), out=str(out)
    )
    ended = subprocess.run([sys.executable, "-c", program], env=os.environ, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    shards = sorted(path.name for path in out.glob("train-*.shard"))
    assert shards == ["train-00000.shard", "train-00001.shard"]
    assert list(out.glob(".train-00002.shard.*"))
    before = {name: (out / name).stat().st_ino for name in shards}
    faces, settings = textures(files, 9), PackSettings(size=16, faces_per_shard=2)
    report = write_pack({"train": faces}, out, settings)
    assert (report.shards, report.kept, report.faces) == (5, 2, 9)
    assert before == {name: (out / name).stat().st_ino for name in shards}
    write_pack({"train": faces}, whole, settings)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }
