"""What others do: a torch DataLoader whose workers crop and augment with OpenCV or albumentations.

The OpenCV loader does the same work as ours: the same crops and landmarks in the same order, from
augmentations that its workers draw per batch. Where ours shrinks an image before it warps
it, to keep fine detail from aliasing, so does OpenCV's: `area` by averaging, `reduced` by decoding
at a half or a quarter of the size, `aliased` not at all, as most loaders do.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import DecodeWindow, apply, crop_matrix
from sesame_hpc.data.loading.augment import Augmentation, draw_augmentation
from sesame_hpc.data.loading.loader import decode_plan
from sesame_hpc.data.rng import epoch_permutation

__all__ = ["EpochPlan", "albumentations_loader", "eval_plan", "opencv_loader", "train_plan"]

Image = NDArray[Any]
"""uint8 RGB."""

Transform = Callable[..., dict[str, Any]]
"""Of albumentations."""

Shrinking = Literal["area", "reduced", "aliased"]
REDUCED = {
    1.0: cv2.IMREAD_COLOR,
    0.5: cv2.IMREAD_REDUCED_COLOR_2,
    0.25: cv2.IMREAD_REDUCED_COLOR_4,
    0.125: cv2.IMREAD_REDUCED_COLOR_8,
}


@dataclass(frozen=True)
class Samples:
    """B samples: their rows, what to decode of each, landmarks in the crop [B, K, 2] as fractions
    of its side, and augmentations (None: evaluation)."""

    faces: Annotations
    rows: NDArray[np.int64]
    window: DecodeWindow
    landmarks: torch.Tensor
    drawn: Augmentation | None
    size: int


@dataclass(frozen=True)
class EpochPlan:
    """An epoch's rows in order, and the (seed, stage) that keys augmentations (None: none)."""

    faces: Annotations
    data: DataConfig
    rows: NDArray[np.int64]
    size: int
    stream: tuple[int, str] | None

    def samples(self, places: list[int]) -> Samples:
        """The samples at these places of the epoch, prepared as ours prepares them."""
        faces, rows, box = self.faces, self.rows[places], self.data.box
        drawn = None
        if self.stream is None:
            matrices = crop_matrix(faces.boxes[rows], self.size, scale=box.scale)
        else:
            drawn = draw_augmentation(
                faces.boxes[rows],
                faces.sample_ids[rows],
                self.size,
                self.data.augment,
                box,
                seed=self.stream[0],
                stage=self.stream[1],
                epoch=0,
            )
            matrices = drawn.matrices
        landmarks = apply(matrices, faces.landmarks[rows]) / self.size
        if drawn is not None:
            mirrored = landmarks[:, list(faces.scheme.mirror)]
            landmarks = np.where(drawn.flip[:, None, None], mirrored, landmarks)
        window = decode_plan(faces, rows, matrices, self.size, None)
        found = torch.from_numpy(landmarks.astype(np.float32))
        return Samples(faces, rows, window, found, drawn, self.size)


def train_plan(faces: Annotations, data: DataConfig, size: int, seed: int, stage: str) -> EpochPlan:
    """The first epoch of a `TrainLoader` with these arguments."""
    return EpochPlan(
        faces, data, epoch_permutation(seed, stage, 0, len(faces)), size, (seed, stage)
    )


def eval_plan(faces: Annotations, data: DataConfig, size: int) -> EpochPlan:
    """The pass of an `EvalLoader` with these arguments."""
    return EpochPlan(faces, data, np.arange(len(faces)), size, None)


def opencv_loader(
    plan: EpochPlan, batch_size: int, workers: int, shrinking: Shrinking, pinned: bool = False
) -> DataLoader:
    return _loader(_Crops(plan, partial(_opencv_crop, shrinking)), batch_size, workers, pinned)


def albumentations_loader(plan: EpochPlan, batch_size: int, workers: int) -> DataLoader:
    """Raises ImportError where albumentations is not installed."""
    transform = _albumentations(importlib.import_module("albumentations"), plan.size)
    return _loader(_Crops(plan, partial(_albumentations_crop, transform)), batch_size, workers)


def _loader(dataset: Dataset, batch_size: int, workers: int, pinned: bool = False) -> DataLoader:
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=True,
        worker_init_fn=_one_thread,
        pin_memory=pinned,
    )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)


class _Crops(Dataset):
    """(image, landmarks) of the samples at places of the epoch; `crop` makes uint8 images."""

    def __init__(self, plan: EpochPlan, crop: Callable[[Samples, int], Image]) -> None:
        self.plan, self.crop = plan, crop

    def __len__(self) -> int:
        return len(self.plan.rows)

    def __getitems__(self, places: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        samples = self.plan.samples(places)
        images = (self.crop(samples, i).astype(np.float32) for i in range(len(places)))
        return [
            (torch.from_numpy(image / 255), points)
            for image, points in zip(images, samples.landmarks, strict=True)
        ]


def _opencv_crop(shrinking: Shrinking, samples: Samples, i: int) -> Image:
    crop = _warped(samples, i, shrinking)
    return crop if samples.drawn is None else _appearance(crop, samples.drawn, i)


def _albumentations_crop(transform: Transform, samples: Samples, i: int) -> Image:
    """OpenCV's crop, which is augmented already at no extra cost, and albumentations on top."""
    points = samples.faces.landmarks[samples.rows[i]]
    return transform(image=_warped(samples, i, "aliased"), keypoints=points)["image"]


def _albumentations(library: Any, size: int) -> Transform:
    """The same augmentations with the same probabilities, drawn by albumentations."""
    return library.Compose(
        [
            library.HorizontalFlip(p=0.5),
            library.Affine(
                scale=(0.85, 1.15), translate_percent=(-0.05, 0.05), rotate=(-20, 20), p=1.0
            ),
            library.ColorJitter((0.7, 1.3), (0.7, 1.3), (0.7, 1.3), (0.0, 0.0), p=1.0),
            library.ImageCompression(quality_range=(20, 100), p=0.5),
            library.ToGray(p=0.2),
            library.CoarseDropout(
                (1, 1), (int(0.1 * size), int(0.4 * size)), (int(0.1 * size), int(0.4 * size)),
                fill="random_uniform", p=0.5,
            ),
        ],
        keypoint_params=library.KeypointParams("xy", remove_invisible=False),
    )  # fmt: skip


def _warped(samples: Samples, i: int, shrinking: Shrinking) -> Image:
    """RGB [S, S, 3]. OpenCV's origin is the centre of the first pixel, ours its corner."""
    encoded = _encoded(samples, i)
    start, end = samples.window.start[i], samples.window.end[i]
    matrix = samples.window.matrix[i].astype(np.float64)
    shrink = float(samples.window.shrink[i])
    if shrinking == "reduced":
        scale = max(shrink, min(REDUCED))
        region = _decoded(encoded, REDUCED[scale])
        matrix[:, :2] *= shrink / scale
        matrix[:, 2] -= matrix[:, :2] @ start[::-1] * scale
    else:
        image = _decoded(encoded, cv2.IMREAD_COLOR)
        region = image[start[0] : end[0], start[1] : end[1]]
        if shrink < 1 and shrinking == "aliased":
            matrix[:, :2] *= shrink
        elif shrink < 1:
            region = cv2.resize(region, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.cvtColor(cv2.warpAffine(region, matrix, (samples.size,) * 2), cv2.COLOR_BGR2RGB)


def _appearance(crop: Image, drawn: Augmentation, i: int) -> Image:
    if drawn.jpeg[i]:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(drawn.quality[i])]
        bgr = cv2.imencode(".jpg", crop[..., ::-1], quality)[1]
        crop = cv2.cvtColor(_decoded(bgr, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if drawn.occlude[i]:
        patch, (top, left) = drawn.patches[i], drawn.corners[i]
        crop[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return cv2.transform(crop, drawn.colour[i])


def _decoded(encoded: Image, mode: int) -> Image:
    image = cv2.imdecode(encoded, mode)
    if image is None:
        raise ValueError("OpenCV cannot decode an image of the data set; see `sesame data check`")
    return image


def _encoded(samples: Samples, i: int) -> Image:
    faces, row = samples.faces, int(samples.rows[i])
    if faces.pack is not None:
        return faces.pack.encoded(int(faces.sample_ids[row]))
    return np.fromfile(faces.image_path(row), dtype=np.uint8)
