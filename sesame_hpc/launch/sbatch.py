"""What sbatch says, and which of its environment variables would beat a profile."""

import re
from collections.abc import Iterable, Mapping

__all__ = ["beaten_variables", "read_job"]

_PARSABLE = re.compile(r"^\s*(\d+)(?:;(\S+))?\s*$", re.MULTILINE)
_SENTENCE = re.compile(r"Submitted batch job (\d+)(?: on cluster (\S+))?")
_VARIABLE = re.compile(r"SBATCH_[A-Z0-9_]+$")
_OPTIONS = {
    "ARRAY_INX": "array",
    "MEM_PER_CPU": "mem",
    "MEM_PER_GPU": "mem",
    "MEM_PER_NODE": "mem",
    "NO_REQUEUE": "requeue",
    "REQ_SWITCH": "switches",
    "TIMELIMIT": "time",
}
"""Options of sbatch whose variable has another name, or that exclude the variable's own."""
_GPUS = frozenset({"GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK", "GRES"})
_NEVER = frozenset({"WAIT"})
"""A chain cannot be submitted where sbatch waits for each job."""


def read_job(text: str) -> tuple[str, str | None]:
    """The id and, in a federation, the cluster of the job that `sbatch --parsable` submitted.

    Sites put programs in front of sbatch that print more, or leave --parsable out: the last line
    that is an id counts, else sbatch's usual sentence. Raises ValueError if there is neither.
    """
    found = _PARSABLE.findall(text) or _SENTENCE.findall(text)
    if not found:
        raise ValueError(f"sbatch printed no job id but {' '.join(text.split())!r}")
    job, cluster = found[-1]
    return job, cluster or None


def beaten_variables(environ: Mapping[str, str], options: Iterable[str]) -> dict[str, str]:
    """{variable: value} of those variables of sbatch that may not count.

    sbatch prefers its environment variables to the lines of a script. `options` are the long names
    of the script's own.
    """
    stated = set(options)
    if stated & {"gpus-per-node", "gres", "gpus"}:
        stated |= {_option(name) for name in _GPUS}
    return {
        name: value
        for name, value in environ.items()
        if _VARIABLE.match(name) and (_option(name[7:]) in stated or name[7:] in _NEVER)
    }


def _option(name: str) -> str:
    return _OPTIONS.get(name, name.lower().replace("_", "-"))
