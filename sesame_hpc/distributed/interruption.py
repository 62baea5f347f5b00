"""Being asked to stop: the signal's flag, and the exception that a saved stage ends with.

A handler that saves would run in the middle of a step, on some ranks and not on others. So it only
sets a flag; `distributed/stop_consensus.py` carries it to all ranks, and they stop after the same
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
    "let_sigterm_end_us",
    "listen",
    "requested",
]

EXIT_SAVED = 75
"""Exit code of a run that was interrupted after saving (EX_TEMPFAIL of sysexits.h)."""


class Stop(IntEnum):
    """What a rank was asked for; of several the greatest counts."""

    NOTHING = 0
    PAUSE = 1
    """SIGUSR2: time limit or preemption ahead. Save, and come back later."""
    END = 2
    """SIGTERM: the end, by `scancel`, a shutdown or a user. Save, and end."""


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
    """Other ranks are gone without a word, killed or with their node.

    `leads` is true on one of those that are left.
    """

    def __init__(self, text: str, leads: bool) -> None:
        super().__init__(text)
        self.leads = leads


_requested = Stop.NOTHING


def listen(pause: signal.Signals = signal.SIGUSR2) -> None:
    """From now on `pause` and SIGTERM set the flag, whichever handlers were there before.

    A second SIGTERM ends the process at once. Main thread only, before others are started: SLURM
    signals child processes too, compilers among them, and they live on since they inherit that
    `pause` is blocked. A thread waits for it.
    """
    global _requested
    _requested = Stop.NOTHING
    signal.signal(pause, _on_pause)
    signal.signal(signal.SIGTERM, _on_term)
    signal.pthread_sigmask(signal.SIG_BLOCK, {pause})
    threading.Thread(target=_await, args=(pause,), name="signals", daemon=True).start()


@contextmanager
def exit_when_saved() -> Iterator[None]:
    """While training: SIGUSR2 and SIGTERM let the ranks save, then leave with `EXIT_SAVED`.

    The same command goes on. Main thread only.
    """
    listen()
    try:
        yield
    except Interrupted as interrupted:
        let_sigterm_end_us()
        if os.environ.get("RANK", "0") == "0":
            text = f"sesame: {interrupted}; run the same command to go on"
            print(text, file=sys.stderr, flush=True)
        raise SystemExit(EXIT_SAVED) from None
    except RanksLost:
        let_sigterm_end_us()
        raise


def let_sigterm_end_us() -> None:
    """All is saved: a SIGTERM that comes now is no reason to save again."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def requested() -> Stop:
    """What this rank was asked for since `listen`."""
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
