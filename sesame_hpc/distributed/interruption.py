"""Stop signals: the flag that they set, and the exception that ends a stage after it has saved.

A handler that saved would run in the middle of a step, on some ranks and not on others. So it only
sets a flag; `distributed/stop_consensus.py` shares it with all ranks, which stop after the same
step. Imports no torch, so that a signal during the imports is not lost.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType

__all__ = [
    "EXIT_SAVED",
    "Interrupted",
    "RankFailed",
    "RanksLost",
    "Stop",
    "exit_when_saved",
    "listen",
    "requested",
    "restore_sigterm",
]

EXIT_SAVED = 75
"""Exit code of a run that was interrupted after saving (EX_TEMPFAIL of sysexits.h)."""


class Stop(IntEnum):
    """What a signal requested; the greatest of several wins."""

    NOTHING = 0
    PAUSE = 1
    """SIGUSR2: time limit or preemption ahead. Save, and resume later."""
    END = 2
    """SIGTERM: `scancel`, a shutdown or a user. Save, and end."""


class Interrupted(Exception):
    """Every rank stopped at `step` of `stage` and saved; `step` None: before the stage began."""

    def __init__(self, stage: str, step: int | None, stop: Stop) -> None:
        super().__init__(stage, step, stop)
        self.stage, self.step, self.stop = stage, step, stop

    def __str__(self) -> str:
        if self.step is None:
            return f"stopped before stage {self.stage}"
        return f"saved at step {self.step} of stage {self.stage}"


class RankFailed(ConnectionError):
    """Another rank failed, and so this one cannot go on."""


class RanksLost(ConnectionError):
    """Other ranks do not respond: they were killed, or their node is down.

    `leads` is true on exactly one of the remaining ranks.
    """

    def __init__(self, text: str, leads: bool) -> None:
        super().__init__(text)
        self.leads = leads


_requested = Stop.NOTHING


def listen(pause: signal.Signals = signal.SIGUSR2) -> None:
    """Install handlers by which `pause` and SIGTERM set the flag, in place of earlier ones.

    A second SIGTERM ends the process at once. Call from the main thread, before others start: SLURM
    signals child processes too, compilers among them, and they survive because they inherit the
    blocked `pause`. A thread waits for it here.
    """
    global _requested
    _requested = Stop.NOTHING
    signal.signal(pause, _on_pause)
    signal.signal(signal.SIGTERM, _on_term)
    signal.pthread_sigmask(signal.SIG_BLOCK, {pause})
    threading.Thread(target=_await, args=(pause,), name="signals", daemon=True).start()


@contextmanager
def exit_when_saved() -> Iterator[None]:
    """While training: on SIGUSR2 and SIGTERM the ranks save, then exit with `EXIT_SAVED`.

    The same command resumes. Main thread only.
    """
    listen()
    try:
        yield
    except Interrupted as interrupted:
        restore_sigterm()
        if os.environ.get("RANK", "0") == "0":
            text = f"sesame: {interrupted}; run the same command to resume"
            print(text, file=sys.stderr, flush=True)
        raise SystemExit(EXIT_SAVED) from None
    except RanksLost:
        restore_sigterm()
        raise


def restore_sigterm() -> None:
    """SIGTERM ends the process again: everything is saved."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def requested() -> Stop:
    """What this rank's signals have requested since `listen`."""
    return _requested


def _await(pause: signal.Signals) -> None:
    while True:
        _on_pause(signal.sigwait({pause}), None)


def _on_pause(number: int, frame: FrameType | None) -> None:
    global _requested
    _requested = max(_requested, Stop.PAUSE)


def _on_term(number: int, frame: FrameType | None) -> None:
    global _requested
    _requested = Stop.END
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
