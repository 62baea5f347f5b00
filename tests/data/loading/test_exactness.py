"""Landmarks are where the pixels are: dots rendered, cropped by DALI, and found again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rendered_faces import BRIGHTNESSES, DOT_SIGMA, FOUR_POINTS, dots

from sesame_hpc.config.schema import AugmentConfig, BoxConfig, DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader, TrainLoader
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack

SIZE = 96
FACES = 6
TOLERANCE = 0.02
NO_COLOUR = {"brightness": 0, "contrast": 0, "saturation": 0, "grayscale": 0}
NOTHING: dict[str, Any] = {
    **NO_COLOUR,
    "flip": 0,
    "rotation": 0,
    "translation": 0,
    "jpeg": 0,
    "occlusion": 0,
}
OPERATIONS: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "box": ({}, (1.0, 1.0)),
    "flip": ({"flip": 1.0}, (1.0, 1.0)),
    "rotation": ({"rotation": 20.0}, (1.0, 1.0)),
    "translation": ({"translation": 0.05}, (1.0, 1.0)),
    "scale": ({}, (1.1, 1.5)),
    "composed": ({"flip": 0.5, "rotation": 20.0, "translation": 0.05}, (1.1, 1.5)),
}
WINDOWS: dict[str, dict[str, Any]] = {
    "square": {"scale": 1.2, "train_scale": (1.1, 1.5)},
    "letterbox": {"scale": 1.2, "train_scale": (1.1, 1.5)},
    "landmarks": {"scale": 2.8, "train_scale": (2.6, 3.5)},
}
"""By protocol; the points' tight box is about 0.4 of the box, whose window they all are to fill."""

SOURCES = {"folder": None, "pack": PackSettings(), "shrunk": PackSettings(size=SIZE)}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def usable(device: str) -> torch.device:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(device)


def centroid_errors(batch: Batch, side: float) -> np.ndarray:
    """Distance of each dot from its landmark, in crop pixels: [B, K].

    The centroid is taken under a Gaussian window at the landmark as wide as the dot, which keeps
    the neighbours and the rounding to 8 bits out; a dot beside its landmark shows half its offset.
    """
    images = batch.images[:, 0].double().cpu().numpy()
    landmarks = batch.landmarks.double().cpu().numpy() * SIZE
    zoom = torch.linalg.det(batch.matrices[:, :, :2]).abs().sqrt().numpy()
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    errors = np.empty(landmarks.shape[:2])
    for face, image in enumerate(images):
        sigma = DOT_SIGMA * side * zoom[face]
        for k, (px, py) in enumerate(landmarks[face]):
            near = image * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
            offset = np.array([(near * (x - px)).sum(), (near * (y - py)).sum()]) / near.sum()
            errors[face, k] = 2 * np.hypot(*offset)
    return errors


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("magnification", [0.8, 1.0, 2.0, 4.0], ids="{}x".format)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_dots_move_with_their_landmarks(tmp_path, operation, magnification, device):
    """`magnification` is image pixels per crop pixel before augmentation."""
    target = usable(device)
    settings, train_scale = OPERATIONS[operation]
    data = DataConfig(
        root=tmp_path,
        box=BoxConfig(train_scale=train_scale),
        augment=AugmentConfig(**{**NOTHING, **settings}),
    )
    loader = TrainLoader(
        dots(tmp_path, FACES, SIZE * magnification),
        data,
        SIZE,
        batch_size=FACES,
        seed=0,
        stage="preliminary",
        device=target,
    )
    for batch in (next(loader.epoch(0)), next(loader.epoch(1))):
        assert centroid_errors(batch, SIZE * magnification).max() < TOLERANCE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("side", [150, 500])
def test_evaluation_crops_are_exact(tmp_path, side, device):
    target = usable(device)
    faces = dots(tmp_path, FACES, side)
    loader = EvalLoader(faces, DataConfig(root=tmp_path), SIZE, batch_size=FACES, device=target)
    (batch,) = loader
    assert centroid_errors(batch, side).max() < TOLERANCE


def test_mirrored_points_change_names(tmp_path):
    data = DataConfig(root=tmp_path, augment=AugmentConfig(**{**NOTHING, "flip": 0.5}))
    loader = TrainLoader(
        dots(tmp_path, 8, 100),
        data,
        SIZE,
        batch_size=8,
        seed=0,
        stage="preliminary",
        device=torch.device("cpu"),
    )
    batch = next(loader.epoch(0))
    mirrored = (torch.linalg.det(batch.matrices[:, :, :2]) < 0).numpy()
    assert 0 < mirrored.sum() < 8
    for face in range(8):
        x, y = np.floor(batch.landmarks[face].numpy() * SIZE).astype(int).T
        peaks = batch.images[face, 0].numpy()[y, x] * 255
        names = list(FOUR_POINTS.mirror) if mirrored[face] else [0, 1, 2, 3]
        np.testing.assert_allclose(peaks, BRIGHTNESSES[names], atol=12)
        left, right = batch.landmarks[face, 0], batch.landmarks[face, 1]
        assert left[0] < right[0]


def from_source(faces: Annotations, source: str, box: BoxConfig) -> Annotations:
    settings = SOURCES[source]
    if settings is None:
        return faces
    out = faces.root / "pack"
    write_pack({"train": faces}, out, replace(settings, box=box))
    return read_pack(out, "train")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("magnification", [1.0, 2.5], ids="{}x".format)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("protocol", WINDOWS)
def test_dots_move_with_their_landmarks_from_packs_too(
    tmp_path, protocol, source, magnification, device
):
    """All operations together, and the way back to the image, to a thousandth of a pixel."""
    target = usable(device)
    box = BoxConfig(protocol=protocol, **WINDOWS[protocol])
    turned = AugmentConfig(**{**NOTHING, "flip": 0.5, "rotation": 20.0, "translation": 0.05})
    data = DataConfig(root=tmp_path, box=box, augment=turned)
    original = dots(tmp_path, FACES, SIZE * magnification)
    faces = from_source(original, source, box)
    shared: dict[str, Any] = {"batch_size": FACES, "device": target}
    train = TrainLoader(faces, data, SIZE, seed=0, stage="finetune", **shared)
    for batch in (
        next(train.epoch(0)),
        next(train.epoch(1)),
        next(iter(evaluation(faces, data, target))),
    ):
        assert centroid_errors(batch, SIZE * magnification).max() < TOLERANCE
        rows = np.searchsorted(original.sample_ids, batch.sample_ids.numpy())
        np.testing.assert_allclose(in_image(batch), original.landmarks[rows], atol=1e-3)


def evaluation(faces: Annotations, data: DataConfig, device: torch.device) -> EvalLoader:
    return EvalLoader(faces, data, SIZE, batch_size=FACES, device=device)


def in_image(batch: Batch) -> np.ndarray:
    """Landmarks back in pixels of the images, points of mirrored faces under their old names."""
    points = batch.landmarks.double().cpu() * SIZE - batch.matrices[:, None, :, 2]
    back = torch.linalg.solve(batch.matrices[:, :, :2], points.transpose(1, 2)).transpose(1, 2)
    mirrored = torch.linalg.det(batch.matrices[:, :, :2]) < 0
    return torch.where(mirrored[:, None, None], back[:, list(FOUR_POINTS.mirror)], back).numpy()
