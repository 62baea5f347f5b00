"""Steady landmarks in videos: a One-Euro filter for each face that can be followed."""

from dataclasses import dataclass

import numpy as np

__all__ = ["FaceSmoother", "OneEuro"]


class OneEuro:
    """A low-pass filter that follows fast movements and steadies slow ones.

    The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on points [K, 2]; the speed is that
    of each point, in units of `scale` pixels per second.

    Args:
        least_cutoff: the cutoff frequency at rest, in Hz.
        quickness: by how many Hz it rises for each unit of speed.
        speed_cutoff: the cutoff frequency for the speed itself, in Hz.
    """

    def __init__(
        self, least_cutoff: float = 1.5, quickness: float = 10.0, speed_cutoff: float = 1.0
    ) -> None:
        if least_cutoff <= 0 or quickness < 0 or speed_cutoff <= 0:
            raise ValueError("cutoffs must be above 0 Hz, and quickness at least 0")
        self._least_cutoff = least_cutoff
        self._quickness = quickness
        self._speed_cutoff = speed_cutoff
        self._points: np.ndarray | None = None
        self._velocity: np.ndarray | None = None

    def __call__(self, points: np.ndarray, seconds: float, scale: float = 1.0) -> np.ndarray:
        """The filtered points, float64 [K, 2]; `seconds` (above 0) since the call before."""
        points = np.asarray(points, dtype=np.float64)
        if self._points is None or self._velocity is None:
            self._points, self._velocity = points, np.zeros_like(points)
            return points
        velocity = (points - self._points) / (seconds * scale)
        self._velocity = self._velocity + _share(self._speed_cutoff, seconds) * (
            velocity - self._velocity
        )
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
        cutoff = self._least_cutoff + self._quickness * speed
        self._points = self._points + _share(cutoff, seconds) * (points - self._points)
        return self._points


def _share(cutoff: float | np.ndarray, seconds: float) -> np.ndarray:
    """The weight of the new value in exponential smoothing with that cutoff frequency."""
    turn = 2 * np.pi * np.asarray(cutoff) * seconds
    return turn / (1 + turn)


@dataclass
class _Track:
    box: np.ndarray
    seen: float
    filter: OneEuro


class FaceSmoother:
    """Filters the landmarks of every face of a video, one frame after the other.

    A face is the same as one of the frames before where their boxes overlap most, and by at least
    `least_overlap` (intersection over union); one unseen for `patience` seconds starts again.
    """

    def __init__(self, least_overlap: float = 0.3, patience: float = 0.5) -> None:
        self._least_overlap = least_overlap
        self._patience = patience
        self._tracks: list[_Track] = []

    def __call__(self, points: np.ndarray, boxes: np.ndarray, time: float) -> np.ndarray:
        """points [F, K, 2] and boxes [F, 4] of the frame at `time` seconds -> smooth points."""
        self._tracks = [track for track in self._tracks if time - track.seen <= self._patience]
        smooth = np.array(points, dtype=np.float64)
        for face, track in self._matches(boxes, time):
            scale = float((boxes[face, 2:] - boxes[face, :2]).max())
            smooth[face] = track.filter(points[face], max(time - track.seen, 1e-3), scale)
            track.box, track.seen = boxes[face], time
        return smooth

    def _matches(self, boxes: np.ndarray, time: float) -> list[tuple[int, _Track]]:
        """A track for each face; the greatest overlaps are settled first."""
        overlaps = sorted(
            (
                (_overlap(box, track.box), face, number)
                for face, box in enumerate(boxes)
                for number, track in enumerate(self._tracks)
            ),
            reverse=True,
        )
        track_of: dict[int, int] = {}
        for overlap, face, number in overlaps:
            free = face not in track_of and number not in track_of.values()
            if overlap >= self._least_overlap and free:
                track_of[face] = number
        for face in range(len(boxes)):
            if face not in track_of:
                track_of[face] = len(self._tracks)
                self._tracks.append(_Track(boxes[face], time, OneEuro()))
        return [(face, self._tracks[number]) for face, number in track_of.items()]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes [4]."""
    extent = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(extent, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if union > 0 else 0.0
