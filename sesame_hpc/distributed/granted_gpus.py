"""The GPUs that SLURM gave this process, whether or not torch sees them. Imports no torch."""

from collections.abc import Mapping

__all__ = ["granted_gpus"]

_INDICES = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
_COUNT = "SLURM_GPUS_ON_NODE"


def granted_gpus(environ: Mapping[str, str]) -> str | None:
    """The variable that says so, as "SLURM_STEP_GPUS=0,1"; None outside SLURM or without GPUs."""
    if "SLURM_JOB_ID" not in environ:
        return None
    said = [name for name in _INDICES if environ.get(name)]
    if environ.get(_COUNT, "0") != "0":
        said.append(_COUNT)
    return f"{said[0]}={environ[said[0]]}" if said else None
