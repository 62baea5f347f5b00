"""The profile of a stage's steps: the table on a screen, the trace in a file."""

import gzip
import io
import json
import time

import pytest
import torch
from rich.console import Console

from sesame_hpc.training.profiling import PHASES, TIMED, TRACED, WARM_UP, StepProfiler


def profiled(path, steps: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80)
    profiler = StepProfiler("pretrain", path, torch.device("cpu"), lambda draw: draw(console))
    for _ in range(steps):
        with profiler.step():
            for phase, seconds in zip(PHASES, (0.0, 0.01, 0.03, 0.0), strict=True):
                with profiler.phase(phase):
                    time.sleep(seconds)
                    torch.ones(64, 64) @ torch.ones(64, 64)
    return out.getvalue()


def test_the_table_has_the_phases_and_the_operators_on_one_screen(tmp_path) -> None:
    shown = profiled(tmp_path / "pretrain.json.gz", WARM_UP + TIMED + TRACED + 2)
    lines = shown.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert len(lines) <= 24
    spent = {line.split()[0]: line.split()[1:] for line in lines if len(line.split()) == 3}
    forward, backward, total = (float(spent[row][0]) for row in ("forward", "backward", "all"))
    assert 10 <= forward < backward
    assert 30 <= backward < total < 500
    assert float(spent["backward"][1]) == pytest.approx(100 * backward / total, abs=0.1)
    assert "aten::mm" in shown


def test_the_trace_holds_the_phases(tmp_path) -> None:
    path = tmp_path / "profile" / "pretrain.json.gz"
    assert str(path) in profiled(path, WARM_UP + TIMED + TRACED).replace("\n", "")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    names = [event.get("name") for event in events if event.get("ph") == "X"]
    assert all(names.count(phase) >= TRACED for phase in PHASES)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_stage_of_few_steps_is_not_profiled(tmp_path) -> None:
    assert profiled(tmp_path / "pretrain.json.gz", WARM_UP + TIMED) == ""
    assert not list(tmp_path.iterdir())
