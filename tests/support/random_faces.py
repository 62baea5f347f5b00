"""A table of faces with random landmarks, and predictions that are landmarks plus noise."""

from pathlib import Path

import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.schemes import Scheme, load_scheme

__all__ = ["annotations", "predicted"]

WFLW = load_scheme("wflw98")


def annotations(count: int = 40, scheme: Scheme = WFLW) -> Annotations:
    generator = np.random.default_rng(0)
    landmarks = generator.uniform(0, 300, (count, scheme.num_landmarks, 2))
    return Annotations(
        scheme=scheme,
        root=Path("."),
        images=tuple(f"{row % 7}/a, b {row}.jpg" for row in range(count)),
        boxes=np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1),
        landmarks=landmarks,
        attributes=generator.random((count, 2)) < 0.3,
        attribute_names=("pose", "blur"),
        sources=tuple(f"list.txt:{row + 1}" for row in range(count)),
        sample_ids=np.arange(count, dtype=np.int64),
    )


def predicted(faces: Annotations, noise: float = 8.0, seed: int = 1) -> np.ndarray:
    return faces.landmarks + np.random.default_rng(seed).normal(0, noise, faces.landmarks.shape)
