"""`Outcome`: what `predict` found, and what it could not use."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from sesame_hpc.inference.inputs import Input

__all__ = ["FoundFace", "Outcome", "count_of"]


@dataclass(frozen=True, eq=False)
class FoundFace:
    """One face: of which file, frame (None for an image) and place in it; arrays as `Landmarks`.

    `order` is its place in the file of boxes, if there was one.
    """

    source: Input
    frame: int | None
    face: int
    order: int
    box: np.ndarray
    points: np.ndarray
    confidence: np.ndarray
    expected_error: np.ndarray

    @property
    def label(self) -> str:
        """The name of the image, or `video#frame`."""
        return self.source.name if self.frame is None else f"{self.source.name}#{self.frame}"


@dataclass
class Outcome:
    """What was found; a message for each input or box that failed (`failed`); what else the user
    should know (`notes`); the files that were written.

    `without_faces` counts images and frames for which no box was given or found.
    """

    box_source: Literal["file", "detector", "whole image"]
    faces: list[FoundFace] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    images: int = 0
    frames: int = 0
    without_faces: int = 0

    @property
    def mean_confidence(self) -> float | None:
        """The mean of all landmarks' confidences; None without faces or calibration."""
        if not self.faces:
            return None
        mean = float(np.mean([face.confidence.mean() for face in self.faces]))
        return None if np.isnan(mean) else mean

    def add_notes(self) -> None:
        """What the user should know of these boxes though nothing failed."""
        if self.box_source == "whole image" and self.faces:
            self.notes.append(
                "no boxes were given, so each whole image was taken for one face "
                f"({self._confidence()}); where faces are only part of an image, give "
                "--detector yunet or --boxes FILE"
            )

    def _confidence(self) -> str:
        mean = self.mean_confidence
        return "confidence unknown" if mean is None else f"mean confidence {mean:.2f}"

    def __str__(self) -> str:
        places = [count_of(self.images, "image"), count_of(self.frames, "frame")]
        where = " and ".join(place for place in places if place) or "no image"
        empty = f", {self.without_faces} of them without a face" if self.without_faces else ""
        sure = f", {self._confidence()}" if self.faces else ""
        return f"{count_of(len(self.faces), 'face') or 'no face'} in {where}{empty}{sure}"


def count_of(number: int, what: str) -> str:
    """ "" for none, "1 face", "2 faces"."""
    return f"{number} {what}{'s' * (number > 1)}" if number else ""
