"""How long a stage has trained, over all the processes that it took."""

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Elapsed"]

_NAMES = ("seconds", "cpu_seconds")


class Elapsed:
    """Wall time, and CPU time of this process in all its threads, since the start of a stage.

    On a busy machine the CPU time is what the training costs. Work that an interruption lost is not
    in it, since a resumed stage goes on from the figures of its checkpoint.
    """

    def __init__(self) -> None:
        self._started = _now()
        self._before: tuple[float, ...] = (0.0, 0.0)

    def resume(self, state: Mapping[str, Any]) -> None:
        """Add what a checkpoint's state says."""
        self._before = tuple(float(state.get(name, 0.0)) for name in _NAMES)

    def record(self) -> dict[str, float]:
        """`seconds` and `cpu_seconds`, for a checkpoint's state or a stage's result."""
        spent = zip(_NAMES, self._before, _now(), self._started, strict=True)
        return {name: before + now - started for name, before, now, started in spent}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
