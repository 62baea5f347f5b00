"""A stage that diverges says so, stops, or goes back once, wherever it was interrupted."""

import json
import math
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import diverging_trainer
import pytest
from training_process import clean_environment

from sesame_hpc.config import DivergenceConfig, load_config
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.training.divergence import LossWatch
from sesame_hpc.training.problems import run_notes, run_problems
from sesame_hpc.training.records import MetricsLog

CONFIG = """
data: {heldout: 1}
runtime: {device: cpu, threads: 1}
checkpoint: {every_steps: 4, every_epochs: 100, keep: 3}
log: {every_steps: 3, eval_epochs: 0, images_epochs: 0, tensorboard: false}
divergence: {every_steps: 4, checkpoints: 2, factor: 3.0, lr_factor: 0.01}
"""
REWIND = ["divergence.action=rewind"]
LOSSES = [4.0, 2.0, 1.0, 1.0, 5.0, 8.0, 9.0, 9.0, 1.0, 1.0, 7.0, 9.0]


def watch(**settings) -> LossWatch:
    return LossWatch(DivergenceConfig(every_steps=2, factor=3.0, **settings))


@pytest.mark.parametrize("cuts", [(0, 12), (0, 1, 2, 3, 4, 5, 12), (0, 5, 11, 12), (0, 7, 12)])
def test_what_diverges_does_not_depend_on_when_losses_are_read(cuts: tuple[int, ...]) -> None:
    """Steps 5 and 6 are above three times the lowest, 7 and 8 still are; 11 and 12 are again."""
    own, said = watch(), []
    for start, end in pairwise(cuts):
        said.append(own.add(LOSSES[start:end], end))
        resumed = watch()
        resumed.restore(json.loads(json.dumps(own.state())))
        own = resumed
    assert own.state() == {"sum": 0.0, "count": 0, "lowest": 1.0, "is_above": True}
    first = "the loss diverges: its mean over steps 5 to 6 is 6.5, 6.5 times the lowest before"
    found = [each for each in said if each]
    assert found[0] == first
    assert len(found) == 1 if len(cuts) == 2 else 2


def test_the_first_mean_is_held_against_nothing() -> None:
    assert watch().add([math.pi * 1e9] * 2, 2) is None


def test_more_can_not_be_gone_back_than_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("output: x\n" + CONFIG.replace("heldout", "root: x, heldout"))
    load_config(file, ["divergence.checkpoints=4"])
    with pytest.raises(
        ValueError, match=r"divergence\.checkpoints is 4, but checkpoint\.keep is 3"
    ):
        load_config(file, ["divergence.checkpoints=4", *REWIND])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs of these names lie, and what their processes said."""
    folder = tmp_path_factory.mktemp("diverging")
    config = folder / "config.yaml"
    config.write_text("output: x\n" + CONFIG.replace("heldout", "root: x, heldout"))
    orders: list[dict] = [
        {"run": "warned"},
        {"run": "stopped", "settings": ["divergence.action=stop"]},
        {"run": "stopped", "settings": ["divergence.action=stop"]},
        {"run": "stopped", "settings": REWIND},
        {"run": "back", "settings": REWIND},
        {"run": "twice", "settings": [*REWIND, "divergence.lr_factor=0.9"]},
        {"run": "none", "settings": [*REWIND, "checkpoint.every_steps=17"]},
        {"run": "spoilt", "settings": REWIND, "spoil": 15},
        {"run": "spoilt-rarely", "settings": [*REWIND, "log.every_steps=7"], "spoil": 15},
        {"run": "spoilt-warned", "spoil": 15},
        {"run": "poisoned", "settings": ["log.every_steps=1000"], "poison": LAST},
        {"run": "poisoned-back", "settings": [*REWIND, "divergence.factor=9"], "poison": LAST},
    ]
    for zero in (0, 1):
        settings, two = [*REWIND, f"runtime.zero_stage={zero}"], f"two-{zero}"
        orders += [
            {"run": two, "settings": settings, "ranks": 2},
            {"run": f"{two}-signalled", "settings": settings, "ranks": 2, "stop_at": 19},
            {"run": f"{two}-signalled", "settings": settings, "ranks": 2},
            {"run": f"{two}-spoilt", "settings": settings, "ranks": 2, "spoil": 15},
            {"run": f"{two}-poisoned", "settings": settings, "ranks": 2, "poison": 11},
        ]
    for at in KILLS:
        orders += [{"run": f"killed-{at}", "settings": REWIND, "die_at": at}]
        orders += [{"run": f"killed-{at}", "settings": REWIND}]
    for at in SIGNALS:
        orders += [{"run": f"signalled-{at}", "settings": REWIND, "stop_at": at}]
        orders += [{"run": f"signalled-{at}", "settings": REWIND, "die_at": 40}]
        orders += [{"run": f"signalled-{at}", "settings": REWIND}]
    orders = [order | {"config": str(config)} for order in orders]
    command = [sys.executable, diverging_trainer.__file__, str(folder), json.dumps(orders)]
    subprocess.run(command, env=clean_environment(), check=True)
    return folder


LAST = diverging_trainer.EPOCHS * diverging_trainer.STEPS
KILLS = (3, 49, 62, 130)
SIGNALS = (6, 19)


def said(place: Path, run: str) -> list[dict]:
    return [json.loads(line) for line in (place / f"{run}.jsonl").read_text().splitlines()]


def records(place: Path, run: str) -> list[dict]:
    return MetricsLog.read(place / run / "metrics.jsonl")


def end(place: Path, run: str) -> tuple:
    """What a run ended with, without its times."""
    last = said(place, run)[-1]
    return last["weights"], last["lr"], last["result"]["rewound"]


WHY = "the loss diverges: its mean over steps 13 to 16 is "


@pytest.mark.slow
def test_a_warning_is_said_once_and_the_stage_goes_on(place: Path) -> None:
    assert run_notes(records(place, "warned"))[0].startswith(f"preliminary: {WHY}")
    steps = [record["step"] for record in records(place, "warned") if "note" in record]
    # Not again for the four steps after those: only after a mean that is low enough.
    assert all(later - earlier > 4 for earlier, later in pairwise(steps))
    assert "rewound" not in said(place, "warned")[0]["result"]
    assert run_problems(RunFolder(place / "warned")) == []


@pytest.mark.slow
def test_a_stop_is_repeated_until_the_run_may_go_back(place: Path) -> None:
    first, again, back = said(place, "stopped")
    assert first == again
    assert first["error"].startswith(f"Diverged: {WHY}")
    assert "divergence.action=rewind" in first["error"]
    assert back["result"]["rewound"] == {"from": 16, "to": 8, "lr_factor": 0.01}
    assert end(place, "stopped") == end(place, "back")


@pytest.mark.slow
def test_it_goes_back_two_checkpoints_with_a_smaller_rate(place: Path) -> None:
    assert end(place, "back")[2] == {"from": 16, "to": 8, "lr_factor": 0.01}
    own = records(place, "back")
    (note,) = run_notes(own)
    assert note.startswith(
        "preliminary: went back from step 16 to step 8 and continued at 0.01 times the learning "
        f"rate: {WHY}"
    )
    warned = {r["step"]: r["lr"] for r in records(place, "warned") if "lr" in r}
    for record in own:
        if "lr" in record:
            factor = 0.01 if record["step"] > 8 else 1.0
            assert record["lr"] == pytest.approx(factor * warned[record["step"]])
    losses = [record["loss"] for record in own if "loss" in record]
    assert max(losses[-3:]) < 2.0
    assert end(place, "back")[1] == pytest.approx(0.59)


@pytest.mark.slow
def test_a_second_time_or_without_a_checkpoint_it_ends(place: Path) -> None:
    (twice,) = said(place, "twice")
    assert "The stage has already gone back once, to step 8. Train again" in twice["error"]
    (fault,) = run_problems(RunFolder(place / "twice"))
    assert "already gone back once" in fault
    (none,) = said(place, "none")
    assert "No earlier checkpoint is available" in none["error"]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_goes_back_too_whatever_is_logged(place: Path) -> None:
    for run in ("spoilt", "spoilt-rarely"):
        assert end(place, run)[2] == {"from": 15, "to": 8, "lr_factor": 0.01}
    assert end(place, "spoilt")[0] == end(place, "spoilt-rarely")[0]
    (warned,) = said(place, "spoilt-warned")
    assert "the loss is not finite at stage preliminary, epoch 3, step 15; " in warned["error"]


@pytest.mark.slow
def test_weights_that_break_at_the_last_step_are_not_saved(place: Path) -> None:
    (ended,) = said(place, "poisoned")
    assert re.search(
        r"of \d+ tensors .* are not finite after step 40, .*step 36 is kept", ended["error"]
    )
    folder = RunFolder(place / "poisoned")
    assert folder.latest_tag("preliminary") == "step-00000036"
    assert not (folder.stage("preliminary") / "step-00000040").exists()
    assert "not finite after step 40" in run_problems(folder)[0]
    assert end(place, "poisoned-back")[2] == {"from": 40, "to": 32, "lr_factor": 0.01}


@pytest.mark.slow
@pytest.mark.parametrize(
    "run", [*(f"killed-{at}" for at in KILLS), *(f"signalled-{at}" for at in SIGNALS)]
)
def test_interrupted_anywhere_it_ends_with_the_same_bits(place: Path, run: str) -> None:
    assert end(place, run) == end(place, "back")
    steps, notes = (
        [[r["step"] for r in records(place, name) if key in r] for name in (run, "back")]
        for key in ("loss", "note")
    )
    assert set(steps[1]) <= set(steps[0])
    assert notes[0] == notes[1] == [9]


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("zero", [0, 1])
def test_two_ranks_go_back_together(place: Path, zero: int) -> None:
    """Whatever one of them met: both continue from the same step at the same rate."""
    two = f"two-{zero}"
    back = {"from": 16, "to": 8, "lr_factor": 0.01}
    for run, rewound in (
        (two, back),
        (f"{two}-signalled", back),
        (f"{two}-spoilt", back | {"from": 15}),
        (f"{two}-poisoned", back | {"from": 11 if zero else 12, "to": 4}),
    ):
        one, other = end(place, run), end(place, f"{run}-1")
        assert one == other
        assert one[1:] == (pytest.approx(0.59), rewound)
        assert len(run_notes(records(place, run))) == 1
    assert end(place, f"{two}-signalled") == end(place, two)
