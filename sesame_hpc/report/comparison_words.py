"""The sentences of a comparison: what it shows, and what it does not.

A comparison is a dictionary: `arm` and `control` (names), `seeds`, `faces` (a number), `nme`
{"mean", "interval", "side"} of arm minus control in percentage points, and `samples`, the ratio of
theirs. A single pair of runs may have an interval `over_faces` in `nme`.
"""

from typing import Any

from sesame_hpc.evaluation.seeds import ONE_SEED
from sesame_hpc.plural import counted

__all__ = ["meaning", "signed", "signed_interval", "statement"]

_EQUAL = 0.01


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def signed_interval(interval: list[float] | None) -> str:
    """[−0.120, +0.030]; a dash for one seed."""
    return "–" if interval is None else f"[{signed(interval[0])}, {signed(interval[1])}]"


def meaning(comparison: dict[str, Any]) -> str:
    """The result in a few words, for a table."""
    return {
        "lower": "lower",
        "higher": "higher",
        "open": "undecided",
        "one seed": "one seed",
    }[comparison["nme"]["side"]]


def statement(comparison: dict[str, Any]) -> str:
    """A comparison as a sentence or two."""
    arm, control, nme = comparison["arm"], comparison["control"], comparison["nme"]
    where = f"{counted(len(comparison['seeds']), 'seed')}, {counted(comparison['faces'], 'face')}"
    by = f"{signed(nme['mean'])} percentage points"
    side = nme["side"]
    if side == "one seed":
        if (bounds := nme.get("over_faces")) is not None:
            faces = counted(comparison["faces"], "face")
            by += f" (95 % interval over {faces} {signed_interval(bounds)})"
        return f"{arm} minus {control}: {by}. {ONE_SEED}.{_unequal(comparison)}"
    bounds = f"95 % interval {signed_interval(nme['interval'])}; {where}"
    if side == "open":
        text = f"{arm} and {control} are not distinguishable: {by} ({bounds}, which includes 0)."
    else:
        text = f"{arm} has a {side} NME than {control}: {by} ({bounds})."
    return text + _unequal(comparison)


def _unequal(comparison: dict[str, Any]) -> str:
    """A sentence if the two arms were trained on different numbers of samples."""
    ratio = comparison["samples"]
    if abs(ratio - 1.0) <= _EQUAL:
        return ""
    return f" {comparison['arm']} was trained on {ratio:.2f} times as many samples."
