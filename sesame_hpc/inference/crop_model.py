"""`CropModel`: a network that finds landmarks in crops, with what is known about it."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.inference.backends import Backend
from sesame_hpc.inference.manifest import Manifest

__all__ = ["CropModel"]

Float = NDArray[np.float64]


class CropModel:
    """Runs a backend on crops in batches of `batch_size`."""

    def __init__(self, backend: Backend, manifest: Manifest, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; at least 1")
        self.backend = backend
        self.manifest = manifest
        self.batch_size = batch_size

    def run(self, crops: Iterator[NDArray[np.float32]]) -> tuple[Float, Float]:
        """Points [F, K, 2] and spreads [F, K], in fractions of the side, of crops [3, S, S]."""
        landmarks = self.manifest.scheme.num_landmarks
        points, spread = [np.empty((0, landmarks, 2))], [np.empty((0, landmarks))]
        while batch := list(islice(crops, self.batch_size)):
            some_points, some_spread = self.backend(np.stack(batch))
            points.append(some_points.astype(np.float64))
            spread.append(some_spread.astype(np.float64))
        return np.concatenate(points), np.concatenate(spread)
