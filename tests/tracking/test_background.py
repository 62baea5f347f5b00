"""A tracker in its own thread: order, bounds, failures."""

import threading

import pytest

from sesame_hpc.tracking.background import BackgroundTracker
from sesame_hpc.tracking.tracker import TrackedRun

FAILED = "tracker mine failed, and gets no more of this run ({})"


class Recorder:
    """Keeps what it gets; `gate` holds its thread up, `fault` is raised for that step."""

    def __init__(self, fault=None):
        self.calls, self.gate, self.fault = [], threading.Event(), fault
        self.entered = threading.Event()
        self.thread = None

    def start(self, run):
        self.thread = threading.current_thread()
        self.calls.append("start")
        return "id-1"

    def log_metrics(self, metrics, step):
        self.entered.set()
        assert self.gate.wait(60)
        if step == self.fault:
            raise ConnectionError("no route to host\nwith details")
        self.calls.append(step)

    def finish(self, status):
        self.calls.append(status)


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def ids():
    """Those that were to be remembered."""
    return []


@pytest.fixture
def start(tmp_path, warnings, ids):
    def make(tracker, most_waiting=1000):
        run = TrackedRun("run", tmp_path, None, {})
        return BackgroundTracker("mine", tracker, run, ids.append, warnings.append, most_waiting)

    return make


def log(background, *steps):
    for step in steps:
        background.put(lambda tracker, step=step: tracker.log_metrics({"a/b": 1.0}, step))


def test_calls_do_not_wait_and_come_in_order(start, warnings, ids):
    tracker = Recorder()
    background = start(tracker)
    log(background, *range(50))
    assert tracker.calls in ([], ["start"])
    tracker.gate.set()
    background.close("finished", seconds=500)
    assert tracker.calls == ["start", *range(50), "finished"]
    assert tracker.thread is not threading.current_thread()
    assert ids == ["id-1"]
    assert not warnings


def test_what_does_not_keep_up_loses_records_and_says_so_once(start, warnings):
    tracker = Recorder()
    background = start(tracker, most_waiting=2)
    log(background, 0)
    assert tracker.entered.wait(60)
    log(background, 1, 2, 3, 4)
    assert warnings == ["tracker mine does not keep up; some of what it should get is dropped"]
    tracker.gate.set()
    background.close("finished", seconds=500)
    assert tracker.calls == ["start", 0, 1, 2, "finished"]
    assert warnings[1:] == ["tracker mine lacks 2 records, which were dropped"]


def test_a_failure_is_told_once_and_ends_the_tracker_alone(start, warnings):
    tracker = Recorder(fault=1)
    tracker.gate.set()
    background = start(tracker)
    log(background, 0, 1, 2, 3)
    background.close("finished", seconds=500)
    log(background, 4)
    assert tracker.calls == ["start", 0]
    assert warnings == [FAILED.format("ConnectionError: no route to host")]


def test_a_tracker_that_cannot_start_is_told_as_well(start, warnings, ids):
    class Broken(Recorder):
        def start(self, run):
            raise RuntimeError("not logged in")

    background = start(Broken())
    log(background, 1)
    background.close("failed", seconds=500)
    assert warnings == [FAILED.format("RuntimeError: not logged in")]
    assert not ids


def test_a_tracker_that_hangs_does_not_keep_the_process(start, warnings):
    tracker = Recorder()
    background = start(tracker)
    log(background, 0)
    background.close("finished", seconds=0.1)
    assert len(warnings) == 1
    assert "did not end within 0.1 s" in warnings[0]
    tracker.gate.set()
