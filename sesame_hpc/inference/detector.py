"""Boxes of faces by OpenCV's YuNet detector, whose weights the user has."""

import os
from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.data.decoding import held_back_errors
from sesame_hpc.inference.detector_weights import (
    WEIGHTS_VARIABLE,
    how_to_get_them,
    usual_weights,
)

__all__ = ["YuNet"]

_LFS_POINTER = b"version https://git-lfs"

_BROWS = 0.26
"""How far below the top of YuNet's boxes the brows are, in heights: the median over 150 training
faces of 300-W (LFPW, HELEN, AFW); the other three sides are within 0.02 of the landmarks."""

_LONGEST_SIDE = 1024
_LEAST_SIDE = 16


class YuNet:
    """Detects faces with `cv2.FaceDetectorYN`.

    Args:
        weights: the ONNX file; None takes the environment's SESAME_YUNET, else `usual_weights()`.
        least_score: detections below it are left out.

    Raises:
        FileNotFoundError: no weights; the message says what to do.
        ValueError: OpenCV cannot read them.
    """

    def __init__(self, weights: Path | None, least_score: float = 0.6) -> None:
        path = weights or Path(os.environ.get(WEIGHTS_VARIABLE) or usual_weights()).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"no YuNet weights at {path}: {how_to_get_them()}")
        with path.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise ValueError(
                    f"{path} is a pointer of Git LFS, not the file: {how_to_get_them()}"
                )
        try:
            with held_back_errors():
                self._detector = cv2.FaceDetectorYN.create(
                    str(path), "", (320, 320), score_threshold=least_score
                )
        except cv2.error as error:
            raise ValueError(
                f"{path} is not a YuNet network that OpenCV reads ({error.err})"
            ) from None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes float64 [F, 4] (x_min, y_min, x_max, y_max) of an RGB uint8 [H, W, 3] image.

        From brows to chin, as boxes around landmarks are, where YuNet's begin at the hairline.
        Large images are shrunk to at most 1024 pixels first.
        """
        height, width = image.shape[:2]
        zoom = min(1.0, _LONGEST_SIDE / max(height, width))
        size = max(1, round(width * zoom)), max(1, round(height * zoom))
        if min(size) < _LEAST_SIDE:
            return np.empty((0, 4))
        seen = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if zoom < 1:
            seen = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize(size)
        found = self._detector.detect(seen)[1]
        if found is None:
            return np.empty((0, 4))
        low, extent = found[:, :2].astype(np.float64), found[:, 2:4].astype(np.float64)
        low[:, 1] += _BROWS * extent[:, 1]
        extent[:, 1] *= 1 - _BROWS
        back = np.array([width / size[0], height / size[1]])
        return np.concatenate([low * back, (low + extent) * back], axis=1)
