"""The box protocols: which part of an image is a face's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rendered_faces import save, table

from sesame_hpc.config.schema import AugmentConfig, BoxConfig, DataConfig
from sesame_hpc.data.geometry import apply, crop_matrix, invert
from sesame_hpc.data.loading.loader import EvalLoader, TrainLoader
from sesame_hpc.data.windows import content_limits, face_boxes, reach, tightest_sides

SIZE = 64
BOXES = np.array([[40.0, 60.0, 72.0, 76.0]])
POINTS = np.array([[[44.0, 62.0], [60.0, 62.0], [46.0, 70.0], [58.0, 74.0]]])
FACES = table(Path(), ["white.png"], BOXES, POINTS)
NOTHING: dict[str, Any] = {
    name: 0
    for name in AugmentConfig.model_fields
    if not name.endswith(("quality", "size")) and not name.startswith("extra")
}


def white(tmp_path, box: BoxConfig, loader: str = "eval", seed: int = 0, **augment) -> np.ndarray:
    """The crop of a wholly white image, 0..1, [S, S]."""
    save(tmp_path / "white.png", np.full((160, 160, 3), 255))
    faces = table(tmp_path, ["white.png"], BOXES, POINTS)
    data = DataConfig(root=tmp_path, box=box, augment=AugmentConfig(**{**NOTHING, **augment}))
    shared: dict[str, Any] = {"batch_size": 1, "device": torch.device("cpu")}
    if loader == "eval":
        batch = next(iter(EvalLoader(faces, data, SIZE, **shared)))
    else:
        batch = next(TrainLoader(faces, data, SIZE, seed=seed, stage="s", **shared).epoch(0))
    return batch.images[0, 0].numpy()


def test_only_landmarks_has_boxes_of_its_own():
    for protocol in ("square", "letterbox"):
        assert face_boxes(FACES, protocol) is FACES.boxes
    assert face_boxes(FACES, "landmarks").tolist() == [[44.0, 62.0, 60.0, 74.0]]


def test_only_letterbox_hides_what_is_beside_the_box():
    assert content_limits(BOXES, 1.5, "square") is None
    assert content_limits(BOXES, 1.5, "landmarks") is None
    assert content_limits(BOXES, 1.5, "letterbox").tolist() == [[32.0, 56.0, 80.0, 80.0]]


def test_square_shows_the_surroundings_and_letterbox_black(tmp_path):
    """The box is twice as wide as high: half of the letterboxed crop is padding."""
    box = BoxConfig(scale=1.25)
    assert white(tmp_path, box).min() == 1
    crop = white(tmp_path, box.model_copy(update={"protocol": "letterbox"}))
    assert crop[SIZE // 4 + 1 : -SIZE // 4 - 1, 1:-1].min() == 1
    assert crop[: SIZE // 4 - 1].max() == crop[-SIZE // 4 + 1 :].max() == 0


def test_the_padding_of_letterbox_turns_and_moves_with_the_face(tmp_path):
    box = BoxConfig(protocol="letterbox", train_scale=(1.25, 1.25))
    moves = {"rotation": 20.0, "translation": 0.05, "flip": 1.0}
    crops = [white(tmp_path, box, "train", seed, **moves) for seed in range(4)]
    upper_edges = [(crop > 0.5).argmax(axis=0)[8:-8] for crop in crops]
    assert all(0.4 < crop.mean() < 0.55 for crop in crops)
    assert max(np.ptp(edge) for edge in upper_edges) > 3


def test_landmarks_cuts_around_the_points(tmp_path):
    save(tmp_path / "white.png", np.full((160, 160, 3), 255))
    faces = table(tmp_path, ["white.png"], BOXES, POINTS)
    data = DataConfig(root=tmp_path, box=BoxConfig(protocol="landmarks", scale=1.0))
    loader = EvalLoader(faces, data, SIZE, batch_size=1, device=torch.device("cpu"))
    (batch,) = loader
    expected = crop_matrix(np.array([[44.0, 62.0, 60.0, 74.0]]), SIZE)
    np.testing.assert_allclose(batch.matrices.numpy(), expected)
    assert batch.landmarks[0, :, 0].min() == 0
    assert batch.landmarks[0, :, 0].max() == 1


@pytest.mark.parametrize("rotation", [0.0, 20.0, 90.0])
def test_no_crop_reaches_beyond_and_the_farthest_nearly_does(rotation):
    box, augment = BoxConfig(), AugmentConfig(rotation=rotation)
    rng = np.random.default_rng(0)
    count = 20000
    matrices = crop_matrix(
        np.repeat(BOXES, count, axis=0),
        SIZE,
        scale=rng.choice(box.train_scale, count),
        degrees=rng.uniform(-rotation, rotation, count),
        shift=rng.choice([-augment.translation, augment.translation], (count, 2)),
        flip=rng.random(count) < 0.5,
    )
    corners = np.array([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]], dtype=float)
    seen = apply(invert(matrices), np.broadcast_to(corners, (count, 4, 2)))
    low, high = reach(BOXES, box, augment).reshape(2, 2)
    assert (seen >= low - 1e-9).all()
    assert (seen <= high + 1e-9).all()
    side = BOXES[0, 2] - BOXES[0, 0]
    assert np.abs(seen.min(axis=(0, 1)) - low).max() < 0.01 * side
    assert tightest_sides(BOXES, box).tolist() == [1.1 * side]
