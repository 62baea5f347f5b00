"""What a study's page and tables call things, and what is missing from an unfinished study."""

from typing import Any

from sesame_hpc.plural import counted

__all__ = ["PARTS", "WEIGHTS", "completeness"]

PARTS = {"heldout": "held-out", "test": "test"}
WEIGHTS = {"last": "last weights", "ema": "EMA where kept"}


def completeness(study: dict[str, Any]) -> str | None:
    """What is missing from an unfinished study; None for a finished one."""
    missing = study["missing"]
    if not missing:
        return None
    finished = sum(len(arm["runs"]) for arm in study["arms"].values())
    text = f"{finished} of {counted(finished + len(missing), 'run')} finished"
    failed = [each for each in missing if each["why"] != "not finished"]
    reasons = [f"arm {each['arm']}, seed {each['seed']}: {each['why']}" for each in failed]
    return "; ".join([text, *reasons])
