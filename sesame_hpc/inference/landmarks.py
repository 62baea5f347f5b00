"""`Landmarks`: what a `Landmarker` returns."""

from dataclasses import dataclass, replace

import numpy as np

from sesame_hpc.schemes import Scheme

__all__ = ["Landmarks"]


@dataclass(frozen=True, eq=False, repr=False)
class Landmarks:
    """F faces of K landmarks.

    Attributes:
        points: float64 [F, K, 2], x and y in pixels of the original image. Pixels have their
            corners at integers: the centre of the first is (0.5, 0.5), the image spans [0, W] x
            [0, H]. A point may lie outside.
        confidence: float64 [F, K], the probability that the error of this landmark is at most 5 %
            of the normaliser (on faces, of the distance of the outer eye corners), as calibrated
            on held-out faces. NaN where the model carries no calibration.
        expected_error: float64 [F, K], the mean error to be expected, in percent of the
            normaliser; NaN in the same case.
        spread: float64 [F, K], the standard deviation of each heat map's softmax around its mean,
            in fractions of the crop side: what the two figures above are made from.
        boxes: float64 [F, 4], x_min, y_min, x_max, y_max: the faces that were asked for.
        images: int64 [F], the image of each face: its place in the sequence that was given.
        scheme: names, regions and edges of the landmarks.
    """

    points: np.ndarray
    confidence: np.ndarray
    expected_error: np.ndarray
    spread: np.ndarray
    boxes: np.ndarray
    images: np.ndarray
    scheme: Scheme

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return (
            f"Landmarks({len(self)} faces, points {self.points.shape}, scheme {self.scheme.name})"
        )

    def of_image(self, index: int) -> "Landmarks":
        """The faces of one image of the sequence."""
        rows = self.images == index
        fields = ("points", "confidence", "expected_error", "spread", "boxes", "images")
        return replace(self, **{field: getattr(self, field)[rows] for field in fields})
