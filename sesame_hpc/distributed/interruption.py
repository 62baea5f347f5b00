"""Stop signals: the flag that they set, and the exception that ends a stage after it has saved.

A handler that saved would run in the middle of a step, on some ranks and not on others. So it only
sets a flag; `distributed/stop_consensus.py` shares it with all ranks, which stop after the same
step. Imports no torch, so that a signal during the imports is not lost.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType

from sesame_hpc.printable import say

__all__ = [
    "EXIT_INTERRUPTED",
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

EXIT_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended before it could save."""


class Stop(IntEnum):
    """What a signal requested; the greatest of several wins."""

    NOTHING = 0
    PAUSE = 1
    """SIGUSR1, SIGUSR2: time limit or preemption ahead. Save, and resume later."""
    END = 2
    """SIGTERM, SIGINT, SIGHUP: `scancel`, a shutdown, or a user. Save, and end."""


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
    """Another rank failed, and so this one cannot continue.

    `nodes` are those that its error shows to be faulty (node_faults.py).
    """

    def __init__(self, text: str, nodes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.nodes = nodes


class RanksLost(ConnectionError):
    """Other ranks do not respond: they were killed, or their node is down.

    `leads` is true on exactly one of the remaining ranks.
    """

    def __init__(self, text: str, leads: bool) -> None:
        super().__init__(text)
        self.leads = leads


def _here(*names: str) -> tuple[signal.Signals, ...]:
    """The signals of these names that the system has: Windows knows few."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


_PAUSING = _here("SIGUSR1", "SIGUSR2")
_ENDING = _here("SIGTERM", "SIGINT", "SIGHUP")
_HANGUP = _here("SIGHUP")
_AGAIN = b"\nsesame: saving at the end of this step; Ctrl-C again ends at once\n"

_requested = Stop.NOTHING
_listening = False
_terminals: tuple[int, ...] = ()


def listen() -> None:
    """Install handlers by which signals set the flag, in place of earlier ones.

    SIGUSR1 and SIGUSR2 pause; SIGTERM, SIGINT (Ctrl-C) and SIGHUP (a lost terminal) end, and a
    second of the same kind ends the process at once. Signals that are ignored, as by nohup, stay
    so. A second call keeps what was requested since the first.

    Call from the main thread, before others start: SLURM signals child processes too, compilers
    among them, and they survive because they inherit the blocked SIGUSR1 and SIGUSR2. A thread
    waits for these here.
    """
    global _listening, _terminals
    for number in _PAUSING:
        signal.signal(number, _on_pause)
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_end)
    if _PAUSING:
        signal.pthread_sigmask(signal.SIG_BLOCK, _PAUSING)
    if not _listening:
        _listening = True
        _terminals = tuple(number for number in (1, 2) if os.isatty(number))
        if _PAUSING:
            threading.Thread(target=_await, name="signals", daemon=True).start()


@contextmanager
def exit_when_saved(last_saved: Callable[[], str]) -> Iterator[None]:
    """While training: on a signal the ranks save, then exit with `EXIT_SAVED`.

    The same command resumes. `last_saved` says what is saved, for a user who ends at once with a
    second Ctrl-C. Main thread only.
    """
    listen()
    try:
        yield
    except Interrupted as interrupted:
        restore_sigterm()
        _say(f"{interrupted}; run the same command to resume")
        raise SystemExit(EXIT_SAVED) from None
    except KeyboardInterrupt:
        _say(f"ended at once; saved: {last_saved()}; run the same command to resume")
        raise SystemExit(EXIT_INTERRUPTED) from None
    except RanksLost:
        restore_sigterm()
        raise


def _say(text: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        say(f"sesame: {text}", err=True)


def restore_sigterm() -> None:
    """SIGTERM ends the process again: everything is saved."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def requested() -> Stop:
    """What this rank's signals have requested since `listen`."""
    return _requested


def _await() -> None:
    while True:
        _on_pause(signal.sigwait(_PAUSING), None)


def _on_pause(number: int, frame: FrameType | None) -> None:
    global _requested
    _requested = max(_requested, Stop.PAUSE)


def _on_end(number: int, frame: FrameType | None) -> None:
    global _requested
    _requested = Stop.END
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    signal.signal(number, usual)
    if number == signal.SIGINT and os.environ.get("RANK", "0") == "0":
        os.write(2, _AGAIN)
    if number in _HANGUP:
        _leave_terminal()


def _leave_terminal() -> None:
    """What is printed to a terminal that is gone would be an error in the middle of a step."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in _terminals:
        os.dup2(nowhere, number)
    os.close(nowhere)
