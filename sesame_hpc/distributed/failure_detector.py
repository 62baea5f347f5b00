"""Which rank failed, and on which node; ends all other ranks within seconds.

A collective operation that fails does not say which rank is missing. So each rank runs a thread
that waits for an alarm in the store. A rank that fails raises the alarm for all; each live thread
then reports the state of its rank, and a rank without a report is lost. A rank that is blocked in
an operation that no other rank will complete is ended.
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
from sesame_hpc.distributed.node_faults import faulty_nodes
from sesame_hpc.distributed.rendezvous import Rendezvous, name_ranks
from sesame_hpc.printable import say, with_notes
from sesame_hpc.shortage import shortage

__all__ = ["FailureDetector"]

_FOR_EVER = timedelta(days=3650)
_SECONDS_TO_RECORD_ERROR = 1.0
_SECONDS_TO_REPORT = 5.0
_SECONDS_TO_END = 10.0
_POLL = 0.05
_PACKAGE = str(Path(__file__).resolve().parents[1])


class FailureDetector:
    """Failures are detected within the `with` block of `running`."""

    def __init__(self, rank: int, met: Rendezvous) -> None:
        self._rank = rank
        self._nodes = met.nodes
        self._met = met
        self._rounds = 0

    def _start_round(self) -> None:
        """Each use of `running` has its own keys in the store."""
        prefix = f"failure detector {self._rounds}"
        self._rounds += 1
        self._store = dist.PrefixStore(prefix, self._met.store)
        self._listener = dist.PrefixStore(prefix, self._met.listener)
        self._report: dict[str, str] = {}
        self._recorded, self._alarmed, self._left = (threading.Event() for _ in range(3))
        self._reports: dict[int, dict[str, str]] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Turn communication errors into errors that name ranks; report this rank's own to others.

        Raises:
            RanksLost: ranks do not respond, or are blocked.
            RankFailed: another rank failed; the message says how.
        """
        self._start_round()
        listener = threading.Thread(target=self._listen, name="failure-detector", daemon=True)
        listener.start()
        try:
            yield
            self._leave(listener)
        except Interrupted:
            self._leave(listener)
            raise
        except Exception as error:
            cause = self._raise_alarm(error)
            if cause is not None:
                raise cause from error
            raise
        finally:
            self._left.set()

    def _leave(self, listener: threading.Thread) -> None:
        """End the listener; rank 0, which may host the store, leaves last."""
        self._left.set()
        self._store.set(_alarm_key(self._rank), "leave")
        listener.join(_SECONDS_TO_REPORT)
        self._store.add("left", 1)
        if self._rank == 0:
            ranks = len(self._nodes)
            _wait_until(lambda: self._store.add("left", 0) >= ranks, _SECONDS_TO_END)

    def _raise_alarm(self, error: Exception) -> RanksLost | RankFailed | None:
        """Alarm all ranks and wait for their reports; the cause, unless it is `error` itself."""
        waited = _is_communication(error)
        self._report = {"waited" if waited else "failed": _one_line(error)}
        if not waited and (nodes := faulty_nodes(error)):
            self._report["faulty"] = ",".join(nodes)
        self._recorded.set()
        threading.Thread(target=self._alarm_all, daemon=True).start()
        self._alarmed.wait(2 * _SECONDS_TO_REPORT + _SECONDS_TO_RECORD_ERROR)
        return self._cause() if waited else None

    def _alarm_all(self) -> None:
        """In its own thread: a request to a node that is down does not even fail, it hangs."""
        try:
            for rank in range(len(self._nodes)):
                self._store.set(_alarm_key(rank), "report")
        except dist.DistError:
            return

    def _listen(self) -> None:
        try:
            self._listener.wait([_alarm_key(self._rank)], _FOR_EVER)
            if self._left.is_set():
                return
            self._exchange_reports()
        except dist.DistError:
            pass
        self._alarmed.set()
        if not self._left.wait(_SECONDS_TO_END):
            say(f"sesame (rank {self._rank}): {self._cause()}", err=True)
            os._exit(1)

    def _exchange_reports(self) -> None:
        self._recorded.wait(_SECONDS_TO_RECORD_ERROR)
        report = self._report or {"at": _place_of_main_thread()}
        self._listener.set(f"report/{self._rank}", json.dumps(report))
        keys = {rank: f"report/{rank}" for rank in range(len(self._nodes))}
        _wait_until(lambda: self._listener.check(list(keys.values())), _SECONDS_TO_REPORT)
        self._reports = {
            rank: json.loads(self._listener.get(key))
            for rank, key in keys.items()
            if self._listener.check([key])
        }
        self._listener.add("read", 1)
        if self._rank == 0:
            readers = len(self._reports)
            _wait_until(lambda: self._listener.add("read", 0) >= readers, _SECONDS_TO_REPORT)

    def _cause(self) -> RanksLost | RankFailed:
        reports = self._reports or {self._rank: self._report}
        silent = [rank for rank in range(len(self._nodes)) if rank not in reports]
        failed = [rank for rank, report in reports.items() if "failed" in report]
        stuck = [rank for rank, report in reports.items() if "at" in report]
        leads = self._rank == min(reports)
        if failed:
            faulty = (reports[rank].get("faulty", "").split(",") for rank in failed)
            nodes = dict.fromkeys(node for each in faulty for node in each if node)
            text = f"{self._named(failed[:1])} failed: {reports[failed[0]]['failed']}"
            return RankFailed(text, tuple(nodes))
        if not self._reports:
            return RanksLost(f"{self._named([0])} is lost, and with it the store", leads)
        if silent:
            verb = "is" if len(silent) == 1 else "are"
            return RanksLost(f"{self._named(silent)} {verb} lost: no response", leads)
        if stuck:
            places = ", ".join(f"{self._named([rank])} at {reports[rank]['at']}" for rank in stuck)
            return RanksLost(f"timed out waiting for {places}", leads)
        return RanksLost(f"communication failed: {reports[self._rank]['waited']}", leads)

    def _named(self, ranks: Sequence[int]) -> str:
        return name_ranks(ranks, list(dict.fromkeys(self._nodes[rank] for rank in ranks)))


def _alarm_key(rank: int) -> str:
    return f"alarm/{rank}"


def _is_communication(error: Exception) -> bool:
    """Gloo raises plain RuntimeErrors whose messages begin with a path of its source."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo/" in str(error)
    )


def _one_line(error: Exception) -> str:
    lines = [shortage(error) or "", *str(error).strip().splitlines()]
    first = next((line for line in lines if line), "")
    return f"{type(error).__name__}: {with_notes(first, error)}"


def _wait_until(happened: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(_POLL)


def _place_of_main_thread() -> str:
    """The innermost frame of this package in the main thread's stack, else the innermost one."""
    innermost: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    frame = innermost
    while frame and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return "an unknown place"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} ({frame.f_code.co_name})"
