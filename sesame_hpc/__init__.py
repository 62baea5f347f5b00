"""SESAME: three-stage training of facial landmark detectors on GPUs and SLURM clusters."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sesame_hpc.inference import Landmarker, Landmarks

__all__ = ["Landmarker", "Landmarks", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Landmarker` and `Landmarks` are imported when they are asked for, and not before."""
    if name in ("Landmarker", "Landmarks"):
        from sesame_hpc import inference

        return getattr(inference, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
