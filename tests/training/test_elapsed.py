"""The time that a stage took, over its starts."""

import time

import pytest

from sesame_hpc.training.elapsed import Elapsed


def test_a_resumed_stage_goes_on_from_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"perf_counter": 100.0, "process_time": 7.0}
    for name in now:
        monkeypatch.setattr(time, name, lambda name=name: now[name])
    first = Elapsed()
    now["perf_counter"] += 10.0
    now["process_time"] += 16.0
    saved = first.record()
    assert saved == {"seconds": 10.0, "cpu_seconds": 16.0}
    now["perf_counter"], now["process_time"] = 500.0, 0.5
    second = Elapsed()
    second.resume(saved | {"step": 3})
    now["perf_counter"] += 1.0
    now["process_time"] += 2.0
    assert second.record() == {"seconds": 11.0, "cpu_seconds": 18.0}
