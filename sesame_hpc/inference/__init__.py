"""Landmarks for images: the `Landmarker`, `sesame predict` and `sesame export`."""

from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.landmarks import Landmarks

__all__ = ["Landmarker", "Landmarks"]
