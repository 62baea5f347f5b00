"""Bounds of waits that hold on a busy machine too."""

import os
import time
from collections.abc import Callable

__all__ = ["Patience", "wait_for"]

_MOST = 10.0


class Patience:
    """A time that is over after `seconds` on an idle machine, and later on a busy one.

    While more processes want to run than there are CPUs, each gets a share; time counts by that
    share, of a tenth at least.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._counted = time.monotonic()

    def is_over(self) -> bool:
        now = time.monotonic()
        self._left -= (now - self._counted) / _processes_per_cpu()
        self._counted = now
        return self._left <= 0


def _processes_per_cpu() -> float:
    """Runnable processes per CPU in the last minute, between 1 and 10."""
    return min(_MOST, max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0))))


def wait_for(what: str, ready: Callable[[], bool], seconds: float) -> None:
    """Poll `ready`. Raises TimeoutError if it is not true within `seconds` of patience."""
    patience, begun = Patience(seconds), time.monotonic()
    while not ready():
        if patience.is_over():
            raise TimeoutError(f"waited {time.monotonic() - begun:.0f} s for {what}")
        time.sleep(0.1)
