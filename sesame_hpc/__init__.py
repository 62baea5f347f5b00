"""SESAME: three-stage training of facial landmark detectors on GPUs and SLURM clusters."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sesame_hpc.config import Config, load_config
    from sesame_hpc.inference import Landmarker, Landmarks
    from sesame_hpc.plugins import allow_plugins
    from sesame_hpc.stages.train import train
    from sesame_hpc.stages.trained_run import Run
    from sesame_hpc.training.callbacks import Callback

__all__ = [
    "Callback",
    "Config",
    "Landmarker",
    "Landmarks",
    "Run",
    "__version__",
    "allow_plugins",
    "load_config",
    "train",
]
__version__ = "0.1.0"

_WHERE = {
    "Callback": "training.callbacks",
    "Config": "config",
    "Landmarker": "inference",
    "Landmarks": "inference",
    "Run": "stages.trained_run",
    "allow_plugins": "plugins",
    "load_config": "config",
    "train": "stages.train",
}


def __getattr__(name: str) -> Any:
    """The names of `__all__` are imported when they are asked for, and not before."""
    if name in _WHERE:
        return getattr(import_module(f"sesame_hpc.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
