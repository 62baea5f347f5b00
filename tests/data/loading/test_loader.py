"""Order, resume, ranks, shapes and messages of the loaders."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rendered_faces import textures

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data import geometry
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading import cpu_crops
from sesame_hpc.data.loading.image_source import ImageSource
from sesame_hpc.data.loading.loader import Batch, EvalLoader, TrainLoader
from sesame_hpc.data.loading.order import EpochOrder
from sesame_hpc.data.loading.pipeline import CropGraph, can_decode, sound_image
from sesame_hpc.data.loading.views import draw_views

SIZE = 48
FACES = 11
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Annotations:
    return textures(tmp_path_factory.mktemp("faces"), FACES)


def train(faces: Annotations, batch_size: int = 2, **options) -> TrainLoader:
    settings = {"seed": 3, "stage": "preliminary", "device": CPU, **options}
    return TrainLoader(faces, DataConfig(root=faces.root), SIZE, batch_size=batch_size, **settings)


def evaluate(faces: Annotations, batch_size: int, **options) -> EvalLoader:
    return EvalLoader(
        faces, DataConfig(root=faces.root), SIZE, batch_size=batch_size, device=CPU, **options
    )


def contents(batch: Batch) -> list[tuple[int, bytes, bytes, bytes]]:
    return [
        (int(i), image.numpy().tobytes(), points.numpy().tobytes(), matrix.numpy().tobytes())
        for i, image, points, matrix in zip(
            batch.sample_ids, batch.images, batch.landmarks, batch.matrices, strict=True
        )
    ]


def test_a_batch_has_the_promised_form(faces):
    batch = next(train(faces, 4).epoch(0))
    assert (batch.images.shape, batch.images.dtype) == ((4, 3, SIZE, SIZE), torch.float32)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= batch.images.min() < 0.2 < 0.8 < batch.images.max() <= 1
    assert (batch.landmarks.shape, batch.landmarks.dtype) == ((4, 4, 2), torch.float32)
    assert (batch.sample_ids.dtype, batch.matrices.dtype) == (torch.int64, torch.float64)
    assert set(batch.sample_ids.tolist()) <= set(faces.sample_ids.tolist())
    assert batch.matrices.shape == (4, 2, 3)


def test_same_seed_same_bits(faces):
    first, second = (list(map(contents, train(faces).epoch(0))) for _ in range(2))
    assert first == second


def test_epochs_seeds_and_stages_differ_and_epochs_can_be_had_again(faces):
    loader = train(faces)
    first, second, again = (list(map(contents, loader.epoch(epoch))) for epoch in (0, 1, 0))
    assert first == again
    for other in (
        second,
        list(map(contents, train(faces, seed=4).epoch(0))),
        list(map(contents, train(faces, stage="finetune").epoch(0))),
    ):
        pixels = {sample[1] for batch in first for sample in batch}
        assert not pixels & {sample[1] for batch in other for sample in batch}


def test_an_epoch_visits_each_face_at_most_once_and_drops_the_rest(faces):
    loader = train(faces, 2)
    ids = [int(i) for batch in loader.epoch(0) for i in batch.sample_ids]
    assert loader.steps_per_epoch == 5
    assert len(ids) == len(set(ids)) == 10


@pytest.mark.parametrize("ranks", [2, 3])
def test_several_ranks_see_what_one_rank_sees(faces, ranks):
    alone = [Counter(contents(batch)) for batch in train(faces, 6).epoch(2)]
    shares = [
        map(contents, train(faces, 6 // ranks, rank=rank, world_size=ranks).epoch(2))
        for rank in range(ranks)
    ]
    together = [Counter(itertools.chain(*parts)) for parts in zip(*shares, strict=True)]
    assert alone == together


@pytest.mark.parametrize("start", [0, 1, 3, 5])
def test_entering_an_epoch_at_a_step_gives_its_tail(faces, start):
    whole = list(map(contents, train(faces).epoch(1)))
    assert list(map(contents, train(faces).epoch(1, start_step=start))) == whole[start:]


def test_an_abandoned_epoch_leaves_no_trace(faces):
    loader = train(faces)
    expected = list(map(contents, loader.epoch(1)))
    abandoned = loader.epoch(0)
    next(abandoned)
    assert list(map(contents, loader.epoch(1))) == expected
    assert list(abandoned) == []


def test_letting_go_of_an_epoch_does_not_wait_for_its_readers(faces, monkeypatch):
    loader, gate, asked = train(faces, 1), threading.Event(), itertools.count()
    prepare = loader._prepare

    def slow_from_the_eighth(epoch, rows):
        if next(asked) >= 7:
            gate.wait(60)
        return prepare(epoch, rows)

    monkeypatch.setattr(loader, "_prepare", slow_from_the_eighth)
    batches: Any = loader.epoch(0)
    next(batches)
    closing = threading.Thread(target=batches.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
    gate.set()


def test_batches_keep_their_pixels_while_others_are_made(faces):
    loader = train(faces)
    batches, seen = [], []
    for batch in loader.epoch(0):
        batches.append(batch)
        seen.append(contents(batch))
    list(loader.epoch(1))
    assert list(map(contents, batches)) == seen


def test_crops_do_not_depend_on_how_long_they_take(faces, monkeypatch):
    expected = [contents(batch) for batch in train(faces, 1).epoch(0)]
    warp, waits = cpu_crops._warp, itertools.cycle((0.0, 0.05))

    def slow(*arguments):
        time.sleep(next(waits))
        return warp(*arguments)

    monkeypatch.setattr(cpu_crops, "_warp", slow)
    assert [contents(batch) for batch in train(faces, 1).epoch(0)] == expected


def test_too_few_faces_for_one_step(faces):
    with pytest.raises(ValueError, match=r"11 training faces .* step of 12 \(6 samples x 2 ranks"):
        train(faces, 6, world_size=2)


@pytest.mark.parametrize("start", [-1, 6])
def test_start_step_outside_the_epoch(faces, start):
    with pytest.raises(ValueError, match=f"start_step is {start}; an epoch has 5 steps"):
        train(faces).epoch(0, start_step=start)


def test_rank_outside_the_world(faces):
    with pytest.raises(ValueError, match="rank is 2 of 2; takes 0 to 1"):
        evaluate(faces, 1, rank=2, world_size=2)


@pytest.mark.parametrize("world_size", [1, 2, 3, 13])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 11, 20])
def test_evaluation_visits_every_face_once(faces, world_size, batch_size):
    ids = [
        int(i)
        for rank in range(world_size)
        for batch in evaluate(faces, batch_size, rank=rank, world_size=world_size)
        for i in batch.sample_ids
    ]
    assert sorted(ids) == faces.sample_ids.tolist()


def test_evaluation_is_the_same_each_time_and_however_it_is_cut(faces):
    loader = evaluate(faces, 4)
    first, second = ([s for batch in loader for s in contents(batch)] for _ in range(2))
    assert first == second
    assert first == [s for batch in evaluate(faces, 7) for s in contents(batch)]


def with_broken_image(tmp_path: Path, content: bytes | None) -> Annotations:
    faces = textures(tmp_path, 5)
    broken = tmp_path / faces.images[3]
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)
    return faces


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"this is not an image", ValueError, "cannot be decoded"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", ValueError, "cannot be decoded"),
        (b"", ValueError, "is empty"),
        (None, FileNotFoundError, "no such image"),
    ],
    ids=["text", "cut", "empty", "missing"],
)
def test_an_unreadable_image_is_named_with_its_line(tmp_path, content, error, reason):
    faces = with_broken_image(tmp_path, content)
    with pytest.raises(error, match=rf"texture3\.jpg \(faces\.txt:4\).*{reason}"):
        list(evaluate(faces, 2))


def test_a_loader_works_again_once_the_image_is_mended(tmp_path):
    faces = with_broken_image(tmp_path, b"this is not an image")
    loader = evaluate(faces, 2)
    with pytest.raises(ValueError, match="texture3"):
        list(loader)
    textures(tmp_path, 5)
    ids = np.concatenate([batch.sample_ids for batch in loader])
    assert ids.tolist() == faces.sample_ids.tolist()


def test_a_face_that_comes_again_in_an_epoch_looks_otherwise(faces):
    order = EpochOrder(3, "preliminary", FACES, 4 * FACES)
    samples = list(itertools.chain(*map(contents, train(faces, 4, order=order).epoch(0))))
    assert len(samples) == 4 * FACES
    assert set(Counter(sample[0] for sample in samples).values()) == {4}
    assert len({sample[3] for sample in samples}) == 4 * FACES
    once = list(itertools.chain(*map(contents, train(faces, 1).epoch(0))))
    assert samples[:FACES] == once, "the first time as in an epoch of one pass"


def test_ranks_and_resuming_see_the_samples_of_a_long_epoch(faces):
    order = EpochOrder(3, "preliminary", FACES, 32)
    alone = list(itertools.chain(*map(contents, train(faces, 4, order=order).epoch(1))))
    ranks = [
        list(map(contents, train(faces, 2, order=order, rank=r, world_size=2).epoch(1, 3)))
        for r in (0, 1)
    ]
    together = [sample for pair in zip(*ranks, strict=True) for share in pair for sample in share]
    assert together == alone[12:]


def test_random_keys_are_sample_ids_until_a_face_comes_again(faces):
    order = EpochOrder(3, "preliminary", FACES, 2 * FACES)
    batches = list(train(faces, 1, order=order).epoch(0))
    keys = [int(batch.random_keys) for batch in batches]
    ids = [int(batch.sample_ids) for batch in batches]
    assert keys[:FACES] == ids[:FACES]
    assert [key - (1 << 40) for key in keys[FACES:]] == ids[FACES:]


def test_landmarks_may_change_from_epoch_to_epoch(faces):
    def landmarks(epoch: int) -> np.ndarray:
        return faces.landmarks + epoch

    loader = train(faces, landmarks=landmarks)
    for epoch in (1, 0, 2):
        own, plain = (
            torch.cat([batch.landmarks for batch in each.epoch(epoch)])
            for each in (loader, train(faces))
        )
        assert own.equal(plain) == (epoch == 0)


def test_views_are_crops_of_their_own_and_lead_back_to_the_image(faces):
    data = DataConfig(root=faces.root)
    views = [
        draw_views(faces.sample_ids, data.augment, data.box, seed=1, stage="pretrain", number=n)
        for n in (1, 2)
    ]
    low, high = data.box.train_scale
    assert ((low <= views[0].scale) & (views[0].scale <= high)).all()
    assert np.abs(views[0].degrees).max() <= data.augment.rotation
    assert 0 < np.abs(views[0].shift).max() <= data.augment.translation
    loaders = [evaluate(faces, FACES), *(evaluate(faces, FACES, views=each) for each in views)]
    batches = [next(iter(loader)) for loader in loaders]
    for one, other in itertools.combinations(batches, 2):
        assert not one.images.equal(other.images)
    for batch in batches:
        pixels = batch.landmarks.double().numpy() * SIZE
        back = geometry.apply(geometry.invert(batch.matrices.numpy()), pixels)
        np.testing.assert_allclose(back, faces.landmarks, atol=1e-3)


def test_an_error_in_a_readers_thread_names_its_samples(faces, monkeypatch):
    loader, read = evaluate(faces, 3), ImageSource._read

    def lacking(source: ImageSource, row: int) -> np.ndarray:
        if row == 4:
            raise MemoryError
        return read(source, row)

    monkeypatch.setattr(ImageSource, "_read", lacking)
    with pytest.raises(MemoryError) as found:
        list(loader)
    ids = ", ".join(map(str, faces.sample_ids[3:6]))
    assert found.value.__notes__ == [f"while reading sample ids {ids}"]


def test_no_image_is_blamed_by_a_machine_that_cannot_decode(faces, monkeypatch):
    assert can_decode(sound_image(), CPU)

    def fail(graph: CropGraph, feeds: Iterable[Any]) -> None:
        next(iter(feeds))
        raise RuntimeError("cannot start a thread")

    monkeypatch.setattr(CropGraph, "crops", fail)
    monkeypatch.setattr("sesame_hpc.data.loading.crops.can_decode", lambda *arguments: False)
    loader = evaluate(faces, 3)
    with pytest.raises(RuntimeError, match="cannot start a thread"):
        list(loader)
    assert loader.images.skipped == ()
