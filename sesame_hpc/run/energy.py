"""The energy that SLURM jobs have consumed, where the site measures it (AcctGatherEnergyType)."""

import subprocess
from collections.abc import Iterable

__all__ = ["consumed_energy", "read_energy"]

_FIELDS = ("JobIDRaw", "JobName", "End", "ConsumedEnergyRaw")
_SECONDS = 20
_UNKNOWN = 2**63
"""SLURM's values for "not known" are above."""

_ended: dict[str, float | None] = {}


def consumed_energy(jobs: Iterable[str]) -> dict[str, float]:
    """{job: joules}, all starts of a job together, for those jobs whose energy is known.

    `jobs` are values of SLURM_JOB_ID. Empty without accounting, and where no energy is measured. A
    job that has ended is asked for once per process; where sacct fails, no job is asked for again.
    """
    wanted = sorted({job for job in jobs if job.isdecimal()}, key=int)
    asked = [job for job in wanted if job not in _ended]
    running = _ask(asked) if asked else {}
    found = {job: running[job] if job in running else _ended.get(job) for job in wanted}
    return {job: joules for job, joules in found.items() if joules is not None}


def _ask(jobs: list[str]) -> dict[str, float | None]:
    """Those of `jobs` that have not ended; the others are noted in `_ended`."""
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--duplicates"]
    try:
        text = subprocess.run(
            [*command, f"--format={','.join(_FIELDS)}", f"--jobs={','.join(jobs)}"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        _ended.update(dict.fromkeys(jobs))
        return {}
    found = read_energy(text)
    _ended.update({job: joules for job, (joules, has_ended) in found.items() if has_ended})
    return {job: joules for job, (joules, has_ended) in found.items() if not has_ended}


def read_energy(text: str) -> dict[str, tuple[float | None, bool]]:
    """{job: (joules, whether it has ended)} of what sacct prints, a line for each start.

    No energy is known where a line has none, or 0, as without a plugin that measures it. Lines of
    jobs of another name are left out, since ids are reused.
    """
    starts: dict[str, list[tuple[float | None, bool]]] = {}
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) == len(_FIELDS) and parts[1].startswith("sesame"):
            job, _, end, energy = parts
            starts.setdefault(job, []).append((_joules(energy), end not in ("", "Unknown", "None")))
    return {
        job: (
            sum(known) if (known := [joules for joules, _ in own if joules is not None]) else None,
            all(has_ended for _, has_ended in own),
        )
        for job, own in starts.items()
    }


def _joules(text: str) -> float | None:
    try:
        joules = float(text)
    except ValueError:
        return None
    return joules if 0 < joules < _UNKNOWN else None
