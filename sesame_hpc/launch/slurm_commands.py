"""What is asked of SLURM's own commands when jobs are submitted and cancelled."""

import re
import shutil
import subprocess
from collections.abc import Sequence

from sesame_hpc.launch.slurm_job import NO_ANSWER
from sesame_hpc.launch.submission_environment import outside_of_jobs, without_rivals

__all__ = ["cancel", "largest_array", "partitions", "require_slurm", "try_out"]

_SECONDS, _SECONDS_FOR_ADVICE = 60, 20
_NO_CLUSTER = re.compile(f"configuration source|{NO_ANSWER.pattern}", re.IGNORECASE)


def require_slurm() -> None:
    """Raise ValueError if jobs cannot be submitted from this machine."""
    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing:
        raise ValueError(
            f"{missing[0]} is not installed on this machine: submit from a login node of your "
            "cluster, or give --local to run the same jobs here"
        )


def try_out(text: str) -> tuple[bool | None, str]:
    """Whether sbatch would take a script, and what it says: when and where the job would start.

    None where it cannot be asked, as without a controller. The jobs that the script's own would
    wait for do not exist, and so its dependency is left out.
    """
    alone = re.sub(r"^#SBATCH --dependency=.*\n", "", text, flags=re.MULTILINE)
    command = ["sbatch", "--test-only"]
    with outside_of_jobs(), without_rivals(alone, lambda text: None):
        try:
            ended = subprocess.run(
                command, input=alone, capture_output=True, text=True, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            return None, f"no answer within {_SECONDS} s"
    lines = [line for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
    lines = [re.sub(r"^sbatch: ((error|fatal): )?", "", line) for line in lines] or ["nothing"]
    if ended.returncode and any(map(_NO_CLUSTER.search, lines)):
        return None, lines[-1]
    return ended.returncode == 0, lines[0]


def largest_array() -> int | None:
    """How many tasks a job array may have on this cluster; None where it does not say."""
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return max(1, int(found[1])) if found else None


def cancel(jobs: Sequence[str], cluster: str | None = None) -> None:
    """Cancel queued and running jobs. Raises ValueError with the error of scancel."""
    where = [f"--clusters={cluster}"] if cluster else []
    ended = subprocess.run(["scancel", *where, *jobs], capture_output=True, text=True)
    if ended.returncode:
        raise ValueError(f"scancel: {ended.stderr.strip()}")


def partitions() -> list[str]:
    """The names of this cluster's partitions, sorted; none where it does not say soon."""
    try:
        shown = subprocess.run(
            ["sinfo", "--noheader", "--format=%R"],
            capture_output=True,
            text=True,
            timeout=_SECONDS_FOR_ADVICE,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return sorted(set(shown.stdout.split()))
