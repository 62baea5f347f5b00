"""Runs that are killed, signalled, damaged or starved end with the bits of an undisturbed one.

The core takes one trial of each kind. `--crash-minutes 60` takes as many as fit, with what is
random drawn from `--crash-seed`, and `--crash-table FILE` keeps their figures. `--crash-trial
damage:17` takes one alone: what is wrong ends with the name of its trial.
"""

import subprocess
import sys
import time
from pathlib import Path

import crash_trainer
import pytest
from crash_trials import KINDS, Bench, Outcome, next_kind, table, trial

from sesame_hpc.config import dump_config, load_config

pytestmark = [pytest.mark.crash, pytest.mark.slow]

SMALL = """
data: {heldout: 8, threads: 1}
model: {stacks: 1, width: 8, levels: 1, block: single, image_size: 32, map_size: 8}
stages:
  preliminary: {epochs: 2, batch_size: 16}
  pretrain: {epochs: 2, batch_size: 16}
  finetune: {epochs: 2, batch_size: 16, ema: 0.5}
runtime: {device: cpu, threads: 1}
checkpoint: {every_steps: 1}
log: {every_steps: 1, eval_epochs: 1, images_epochs: 1, tensorboard: false}
"""


@pytest.fixture(scope="module")
def bench(faces: Path, tmp_path_factory, pytestconfig):
    folder = tmp_path_factory.mktemp("crash")
    base = folder / "small.yaml"
    base.write_text(SMALL)
    reference = folder / "reference"
    config = load_config(base, [f"data.root={faces}", f"output={reference}"])
    base.write_text(dump_config(config))
    bench = Bench(folder, base, reference, pytestconfig.getoption("--crash-seed"))
    bench.train_reference()
    yield bench
    bench.close()


def wrong(outcomes: dict[str, Outcome]) -> list[str]:
    return [each for outcome in outcomes.values() for each in outcome.wrong]


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_each_kind(kind: str, bench: Bench, pytestconfig) -> None:
    name = pytestconfig.getoption("--crash-trial") or f"{kind}:0"
    if name.partition(":")[0] != kind:
        pytest.skip(f"--crash-trial is {name}")
    outcome = Outcome()
    trial(bench, kind, int(name.partition(":")[2]), outcome)
    if not outcome.is_possible:
        pytest.skip("no file system can be mounted here: that takes root, and for ext4 e2fsprogs")
    assert outcome.wrong == []


def test_as_many_as_there_are_minutes(bench: Bench, pytestconfig) -> None:
    minutes = pytestconfig.getoption("--crash-minutes")
    if not minutes:
        pytest.skip("takes --crash-minutes")
    outcomes = {kind: Outcome() for kind in KINDS}
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        kind = next_kind(outcomes)
        trial(bench, kind, outcomes[kind].tries, outcomes[kind])
        if place := pytestconfig.getoption("--crash-table"):
            Path(place).write_text("\n".join([table(outcomes), "", *wrong(outcomes), ""]))
    assert wrong(outcomes) == []


def test_the_trainer_dies_where_it_is_told(tmp_path: Path) -> None:
    program = (
        "import os, crash_trainer; crash_trainer.die_at(3)\n"
        "for number in range(5): os.mkdir(str(number)); print(number, flush=True)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(crash_trainer.__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -9
    assert ended.stdout == "0\n1\n"
