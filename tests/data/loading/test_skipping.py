"""Images that cannot be read while training: skipped, counted, and the same on every run."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_faces import textures

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import EvalLoader, TrainLoader
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack

SIZE = 32
FACES = 12
BAD = 5
CPU = torch.device("cpu")
DAMAGES = {
    "text": b"this is not an image",
    "cut": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "empty": b"",
    "missing": None,
}


def damage(faces: Annotations, row: int, content: bytes | None) -> int:
    """Spoil an image; returns the sample id of its face."""
    path = faces.image_path(row)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    return int(faces.sample_ids[row])


@pytest.fixture
def faces(tmp_path: Path) -> Annotations:
    return textures(tmp_path, FACES)


def train(faces: Annotations, batch_size: int = 4, **options) -> TrainLoader:
    data = DataConfig(root=faces.root, on_error="skip", max_skipped=options.pop("most", 0.01))
    settings = {"seed": 3, "stage": "finetune", "device": CPU, **options}
    return TrainLoader(faces, data, SIZE, batch_size=batch_size, **settings)


def samples(batch) -> list[tuple[int, bytes]]:
    pairs = zip(batch.sample_ids, batch.images, strict=True)
    return [(int(i), image.numpy().tobytes()) for i, image in pairs]


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_another_face_comes_in_its_place(faces, caplog, content):
    whole = [samples(batch) for batch in train(faces).epoch(0)]
    bad = damage(faces, BAD, content)
    loader = train(faces)
    mended = [samples(batch) for batch in loader.epoch(0)]
    assert [len(batch) for batch in mended] == [4, 4, 4]
    for before, after in zip(itertools.chain(*whole), itertools.chain(*mended), strict=True):
        assert (before == after) == (before[0] != bad)
        assert after in itertools.chain(*whole)
    assert loader.images.skipped == (bad,)
    (record,) = caplog.records
    assert f"skipped sample {bad} (1 so far): " in record.message
    assert f"texture{BAD}.jpg (faces.txt:{BAD + 1})" in record.message


def test_a_damaged_record_of_a_pack_is_left_out_too(faces, tmp_path):
    write_pack({"train": faces}, tmp_path / "pack", PackSettings())
    path = tmp_path / "pack" / "train-00000.shard"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    loader = train(read_pack(tmp_path / "pack", "train"))
    assert len(list(loader.epoch(0))) == 3
    assert loader.images.skipped == (int(faces.sample_ids[0]),)


@pytest.mark.parametrize("content", [DAMAGES["text"], None], ids=["text", "missing"])
def test_all_ranks_agree_on_the_substitute(faces, content):
    damage(faces, BAD, content)
    alone = [Counter(samples(batch)) for batch in train(faces, 6).epoch(1)]
    for ranks in (2, 3):
        shares = [
            map(samples, train(faces, 6 // ranks, rank=rank, world_size=ranks).epoch(1))
            for rank in range(ranks)
        ]
        together = [Counter(itertools.chain(*parts)) for parts in zip(*shares, strict=True)]
        assert alone == together


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_entered_at_a_step_has_the_same_substitutes(faces, start):
    damage(faces, BAD, DAMAGES["text"])
    whole = list(map(samples, train(faces).epoch(0)))
    assert list(map(samples, train(faces).epoch(0, start_step=start))) == whole[start:]


def test_later_epochs_remember_what_is_bad(faces, caplog):
    damage(faces, BAD, DAMAGES["text"])
    loader = train(faces)
    later = [list(map(samples, loader.epoch(number))) for number in (0, 1, 2)][2]
    assert len(caplog.records) == 1
    assert list(map(samples, train(faces).epoch(2))) == later


@pytest.mark.parametrize("content", [DAMAGES["text"], None], ids=["text", "missing"])
def test_too_many_stop(faces, content):
    for row in (2, 7):
        damage(faces, row, content)
    loader = train(faces)
    with pytest.raises(ValueError, match=r"2 of 12 faces cannot be read, more than data.max_skipp"):
        list(loader.epoch(0))
    assert len(list(train(faces, most=0.2).epoch(0))) == 3


def test_where_nothing_can_be_read_it_ends(faces):
    for row in range(FACES):
        damage(faces, row, None)
    with pytest.raises(ValueError, match="none of the 16 faces drawn in its place"):
        list(train(faces, most=1.0).epoch(0))


@pytest.mark.parametrize("batch_size", [1, 4, 12])
@pytest.mark.parametrize("content", [DAMAGES["text"], None], ids=["text", "missing"])
def test_evaluation_goes_on_without_it(faces, batch_size, content):
    bad = damage(faces, BAD, content)
    data = DataConfig(root=faces.root, on_error="skip")
    loader = EvalLoader(faces, data, SIZE, batch_size=batch_size, device=CPU)
    for _ in range(2):
        ids = np.concatenate([batch.sample_ids for batch in loader])
        assert ids.tolist() == [i for i in faces.sample_ids.tolist() if i != bad]
    assert loader.images.skipped == (bad,)
