"""The environment variables under which sbatch is called."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sesame_hpc.launch.sbatch import beaten_variables

__all__ = ["outside_of_jobs", "without_rivals"]

_OF_A_JOB = re.compile(
    "(SLURM|SLURMD|SRUN|SBATCH|SUBMITIT)_|(RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE"
    "|MASTER_ADDR|MASTER_PORT)$"
)


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Submit from within a job as from a login node: without the job's variables."""
    inherited = {}
    if "SLURM_JOB_ID" in os.environ:
        names = [name for name in os.environ if _OF_A_JOB.match(name) and name != "SLURM_CONF"]
        inherited = {name: os.environ[name] for name in names}
    for name in inherited:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(inherited)


@contextmanager
def without_rivals(text: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Without those variables of sbatch that would beat the script."""
    options = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
    rivals = beaten_variables(os.environ, options)
    for name, value in rivals.items():
        warn(f"{name}={value} has no effect: the profile overrides it")
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(rivals)
