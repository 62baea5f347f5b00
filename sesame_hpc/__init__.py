"""SESAME: three-stage training of facial landmark detectors on GPUs and SLURM clusters."""

__all__ = ["__version__"]
__version__ = "0.1.0"
