"""A tracker at work in a thread of its own, so that no training step waits for it."""

import queue
import threading
import time
from collections.abc import Callable

from sesame_hpc.tracking.tracker import Status, TrackedRun, Tracker

__all__ = ["MOST_SECONDS_AT_END", "BackgroundTracker"]

Call = Callable[[Tracker], None]

_MOST_WAITING = 1000
MOST_SECONDS_AT_END = 30.0
"""How long the end of a process waits for each tracker."""


class BackgroundTracker:
    """Passes calls on to `tracker`, in order.

    What the tracker raises ends it, and is told by `warn` once; so is that calls are dropped, since
    more than `most_waiting` wait. `warn` is called from the caller's thread. `remember` is called
    with the id of the run once it has begun.
    """

    def __init__(
        self,
        name: str,
        tracker: Tracker,
        run: TrackedRun,
        remember: Callable[[str], None],
        warn: Callable[[str], None],
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._name, self._tracker, self._run = name, tracker, run
        self._remember, self._warn = remember, warn
        self._waiting: queue.Queue[Call | None] = queue.Queue(most_waiting)
        self._error: Exception | None = None
        self._has_warned = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Let the thread make a call; returns at once."""
        if self._error is not None:
            self._tell(f"failed, and gets no more of this run ({_text(self._error)})")
            return
        try:
            self._waiting.put_nowait(call)
        except queue.Full:
            self._dropped += 1
            self._tell("does not keep up; some of what it should get is dropped")

    def close(self, status: Status, seconds: float = MOST_SECONDS_AT_END) -> None:
        """Pass on what waits and end the run, within about `seconds`."""
        until = time.monotonic() + seconds
        try:
            self._waiting.put(lambda tracker: tracker.finish(status), timeout=seconds)
            self._waiting.put(None, timeout=max(0.0, until - time.monotonic()))
        except queue.Full:
            pass
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._error is not None:
            self._tell(f"failed, and gets no more of this run ({_text(self._error)})")
        elif self._thread.is_alive():
            self._tell(f"did not end within {seconds:g} s, and may lack the end of this run")
        elif self._dropped:
            self._warn(f"tracker {self._name} lacks {self._dropped} records, which were dropped")

    def _tell(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"tracker {self._name} {text}")

    def _work(self) -> None:
        try:
            self._remember(self._tracker.start(self._run))
        except Exception as error:
            self._error = error
        while (call := self._waiting.get()) is not None:
            if self._error is not None:
                continue
            try:
                call(self._tracker)
            except Exception as error:
                self._error = error


def _text(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
