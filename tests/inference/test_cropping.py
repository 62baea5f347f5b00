"""Crops without DALI: DALI's pixels, and exact places."""

import tracemalloc

import numpy as np
import pytest
import torch

from sesame_hpc.config import BoxConfig, DataConfig, load_config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.data.windows import face_boxes
from sesame_hpc.inference.cropping import _block_averages, _large_block_averages, crop_faces
from sesame_hpc.inference.heldout import face_crops
from sesame_hpc.inference.images import read_image
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder

SIZE = 32
TIGHT = BoxConfig(scale=1.0)


def faces_with_boxes(run, boxes) -> tuple[Annotations, DataConfig]:
    config = load_config(run / "config.yaml")
    faces = read_faces(config, RunFolder(run)).train.select(np.arange(len(boxes)))
    return (
        Annotations(
            **{field: getattr(faces, field) for field in faces.__dataclass_fields__}
            | {"boxes": np.array(boxes, dtype=np.float64)}
        ),
        config.data,
    )


@pytest.mark.parametrize("protocol", ["square", "letterbox", "landmarks"])
def test_pixels_are_those_of_the_evaluation_loader(run, protocol):
    shrunk, enlarged, outside = [3.3, 2.1, 95.2, 91.7], [40, 41, 52.5, 50], [-30, 50, 45, 120.5]
    beyond = [200, 200, 260, 260] if protocol != "letterbox" else shrunk
    faces, data = faces_with_boxes(run, [shrunk, enlarged, outside, beyond])
    box = data.box.model_copy(update={"protocol": protocol})
    data = data.model_copy(update={"box": box})
    loader = EvalLoader(faces, data, SIZE, batch_size=4, device=torch.device("cpu"))
    (batch,) = list(loader)
    found = list(face_crops(faces, data, SIZE))
    assert [row for row, _, _ in found] == [0, 1, 2, 3]
    for row, crop, matrix in found:
        difference = np.abs(crop - batch.images[row].numpy()) * 255
        assert difference.max() < 8, row
        assert difference.mean() < 0.75, row
        np.testing.assert_allclose(matrix, batch.matrices[row].numpy(), rtol=0, atol=1e-12)
        cut = face_boxes(faces, protocol)[[row]]
        crops, _ = crop_faces(read_image(faces.image_path(row)), cut, SIZE, box)
        np.testing.assert_array_equal(crops[0], crop)


@pytest.mark.parametrize("pixels_per_cell", [0.4, 1.0, 1.7, 4.3, 6.0, 14.9, 30.2])
def test_a_dot_lands_where_the_matrix_says(pixels_per_cell):
    side = pixels_per_cell * SIZE
    extent = int(side + 40 * pixels_per_cell + 40)
    low = 17.3 + 18 * pixels_per_cell
    dot = low + np.array([0.41, 0.57]) * side
    y, x = np.mgrid[:extent, :extent] + 0.5
    squares = (x - dot[0]) ** 2 + (y - dot[1]) ** 2
    brightness = 250 * np.exp(-squares / (2 * (3 * pixels_per_cell) ** 2))
    image = np.repeat(np.round(brightness)[..., None], 3, axis=2).astype(np.uint8)
    boxes = np.array([[low, low + 0.7, low + side, low + side + 0.7]])
    crops, matrices = crop_faces(image, boxes, SIZE, TIGHT)
    weight = crops[0, 0] / crops[0, 0].sum()
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    centre = np.array([(weight * columns).sum(), (weight * rows).sum()])
    np.testing.assert_allclose(centre, apply(matrices, dot[None, None])[0, 0], atol=0.02)


def test_a_box_beyond_the_image_is_black():
    image = np.full((50, 60, 3), 255, np.uint8)
    for protocol in ("square", "letterbox"):
        box = BoxConfig(protocol=protocol)
        crops, _ = crop_faces(image, np.array([[200, 200, 260, 230.0]]), 8, box)
        assert not crops.any()


def test_an_image_of_one_pixel_gives_a_crop():
    crops, _ = crop_faces(np.full((1, 1, 3), 255, np.uint8), np.array([[0, 0, 1.0, 1.0]]), 8, TIGHT)
    assert crops.shape == (1, 3, 8, 8)
    assert crops[0, :, 3:5, 3:5].min() > 0.85


def test_no_boxes_no_crops_and_a_bad_box_is_named():
    image = np.zeros((5, 5, 3), np.uint8)
    assert crop_faces(image, np.empty((0, 4)), 8, TIGHT)[0].shape == (0, 3, 8, 8)
    with pytest.raises(ValueError, match="box 1 is"):
        crop_faces(image, np.array([[0, 0, 1, 1], [3, 3, 3, 3.0]]), 8, TIGHT)


@pytest.mark.parametrize("side", [1e5, 1e7, 1e12])
def test_a_vast_box_takes_no_memory_for_what_is_beyond_the_image(side):
    image = np.full((60, 80, 3), 255, np.uint8)
    tracemalloc.start()
    crops, _ = crop_faces(image, np.array([[0, 0, side, side]]), 8, TIGHT)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert crops.shape == (1, 3, 8, 8)


def test_blocks_larger_than_the_image_are_averaged_alike():
    region = np.random.default_rng(1).integers(0, 256, (37, 150, 3), dtype=np.uint8)
    for block in (8, 32):
        difference = _block_averages(region, block).astype(int) - _large_block_averages(
            region, block
        )
        assert np.abs(difference).max() <= 1
    grown = np.pad(region, ((0, 27), (0, 42), (0, 0)), mode="edge")
    expected = grown.reshape(1, 64, 3, 64, 3).mean(axis=(1, 3))
    assert np.abs(_block_averages(region, 64) - expected).max() <= 0.5 + 1e-9
