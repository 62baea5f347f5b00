"""Experiment trackers: TensorBoard, MLflow, W&B, and classes of your own."""

from sesame_hpc.tracking.tracker import Image, Status, TrackedRun, Tracker
from sesame_hpc.tracking.trackers import Trackers, check_trackers, tracker_plugins

__all__ = [
    "Image",
    "Status",
    "TrackedRun",
    "Tracker",
    "Trackers",
    "check_trackers",
    "tracker_plugins",
]
