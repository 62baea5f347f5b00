"""When something fails: which rank, on which node, and an end for all of them within seconds.

Collective operations only say that somebody did not come. So each rank has a thread that waits for
a call in the store. Who fails calls all; every thread that lives answers for its rank, and who does
not answer is gone. A rank that is caught in an operation nobody else will finish is ended.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType

import torch.distributed as dist

from sesame_hpc.distributed.interruption import Interrupted, RankFailed, RanksLost
from sesame_hpc.distributed.rendezvous import Meeting, name_ranks

__all__ = ["FailureDetector"]

_FOR_EVER = timedelta(days=3650)
_SECONDS_TO_STATE = 1.0
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_END = 10.0
_POLL = 0.05
_PACKAGE = str(Path(__file__).resolve().parents[1])


class FailureDetector:
    """`answering` is the part of the program during which this rank answers and is answered."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        self._rank = rank
        self._nodes = meeting.nodes
        self._meeting = meeting
        self._rounds = 0

    def _start_round(self) -> None:
        """Each use of `answering` has keys of its own in the store."""
        prefix = f"roll call {self._rounds}"
        self._rounds += 1
        self._store = dist.PrefixStore(prefix, self._meeting.store)
        self._ear = dist.PrefixStore(prefix, self._meeting.ear)
        self._statement: dict[str, str] = {}
        self._stated, self._called, self._left = (threading.Event() for _ in range(3))
        self._answers: dict[int, dict[str, str]] = {}

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn the errors of communication into such that name ranks; tell the others of ours.

        Raises:
            RanksLost: ranks are gone without a word, or do not go on.
            RankFailed: another rank failed, and said how.
        """
        self._start_round()
        listener = threading.Thread(target=self._listen, name="roll-call", daemon=True)
        listener.start()
        try:
            yield
            self._leave(listener)
        except Interrupted:
            self._leave(listener)
            raise
        except Exception as error:
            cause = self._call(error)
            if cause is not None:
                raise cause from error
            raise
        finally:
            self._left.set()

    def _leave(self, listener: threading.Thread) -> None:
        """End the listener; rank 0, who may hold the store, is the last to leave."""
        self._left.set()
        self._store.set(_call_of(self._rank), "leave")
        listener.join(_SECONDS_TO_ANSWER)
        self._store.add("left", 1)
        if self._rank == 0:
            ranks = len(self._nodes)
            _wait_until(lambda: self._store.add("left", 0) >= ranks, _SECONDS_TO_END)

    def _call(self, error: Exception) -> RanksLost | RankFailed | None:
        """Call all, wait for the answers; what happened, unless it is `error` itself."""
        waited = _is_communication(error)
        self._statement = {"waited" if waited else "failed": _one_line(error)}
        self._stated.set()
        threading.Thread(target=self._call_all, daemon=True).start()
        self._called.wait(2 * _SECONDS_TO_ANSWER + _SECONDS_TO_STATE)
        return self._cause() if waited else None

    def _call_all(self) -> None:
        """In a thread of its own: a node that vanished does not even refuse a request."""
        try:
            for rank in range(len(self._nodes)):
                self._store.set(_call_of(rank), "answer")
        except dist.DistError:
            return

    def _listen(self) -> None:
        try:
            self._ear.wait([_call_of(self._rank)], _FOR_EVER)
            if self._left.is_set():
                return
            self._answer()
        except dist.DistError:
            pass
        self._called.set()
        if not self._left.wait(_SECONDS_TO_END):
            print(f"sesame (rank {self._rank}): {self._cause()}", file=sys.stderr, flush=True)
            os._exit(1)

    def _answer(self) -> None:
        self._stated.wait(_SECONDS_TO_STATE)
        statement = self._statement or {"at": _place_of_main_thread()}
        self._ear.set(f"answer/{self._rank}", json.dumps(statement))
        keys = {rank: f"answer/{rank}" for rank in range(len(self._nodes))}
        _wait_until(lambda: self._ear.check(list(keys.values())), _SECONDS_TO_ANSWER)
        self._answers = {
            rank: json.loads(self._ear.get(key))
            for rank, key in keys.items()
            if self._ear.check([key])
        }
        self._ear.add("read", 1)
        if self._rank == 0:
            readers = len(self._answers)
            _wait_until(lambda: self._ear.add("read", 0) >= readers, _SECONDS_TO_ANSWER)

    def _cause(self) -> RanksLost | RankFailed:
        answers = self._answers or {self._rank: self._statement}
        silent = [rank for rank in range(len(self._nodes)) if rank not in answers]
        failed = [rank for rank, answer in answers.items() if "failed" in answer]
        stuck = [rank for rank, answer in answers.items() if "at" in answer]
        leads = self._rank == min(answers)
        if failed:
            return RankFailed(f"{self._named(failed[:1])} failed: {answers[failed[0]]['failed']}")
        if not self._answers:
            return RanksLost(f"{self._named([0])} is gone, and with it the others' answers", leads)
        if silent:
            verb = "is" if len(silent) == 1 else "are"
            return RanksLost(f"{self._named(silent)} {verb} gone without a word", leads)
        if stuck:
            places = ", ".join(f"{self._named([rank])} at {answers[rank]['at']}" for rank in stuck)
            return RanksLost(f"waited until the time-out for {places}", leads)
        return RanksLost(f"communication failed: {answers[self._rank]['waited']}", leads)

    def _named(self, ranks: Sequence[int]) -> str:
        return name_ranks(ranks, list(dict.fromkeys(self._nodes[rank] for rank in ranks)))


def _call_of(rank: int) -> str:
    return f"call/{rank}"


def _is_communication(error: Exception) -> bool:
    """Gloo raises plain RuntimeErrors, whose texts begin with the place in its source."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo/" in str(error)
    )


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _wait_until(happened: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(_POLL)


def _place_of_main_thread() -> str:
    """The innermost line of this package that the main thread is in; of any, if it is in none."""
    innermost: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    frame = innermost
    while frame and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return "an unknown place"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} ({frame.f_code.co_name})"
