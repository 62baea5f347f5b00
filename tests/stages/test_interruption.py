"""A signal in any stage: all ranks save after one and the same step; no bit is lost by it."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_process import start_training, train

from sesame_hpc.config import STAGES
from sesame_hpc.launch.requeue import EXIT_SAVED

pytestmark = pytest.mark.slow


def wait_for(process: subprocess.Popen, happened: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and not happened() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
    assert happened(), f"nothing happened for {seconds} s"


def recorded(run: Path, stage: str, step: int) -> Callable[[], bool]:
    wanted = re.compile(rf'"stage": "{stage}", "epoch": \d+, "step": {step},')
    metrics = run / "metrics.jsonl"
    return lambda: metrics.exists() and wanted.search(metrics.read_text()) is not None


def weights(run: Path) -> dict:
    return {
        f"{stage}/{key}": value
        for stage in STAGES
        for key, value in load_file(run / "checkpoints" / stage / "weights.safetensors").items()
    }


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    assert not [key for key in one if not one[key].equal(other[key])]


def test_a_signal_in_every_stage_loses_nothing(write_config, tmp_path: Path) -> None:
    rarely = "checkpoint.every_steps=1000", "checkpoint.every_epochs=1000"
    train(write_config("undisturbed", *rarely))
    config, run = write_config("interrupted", *rarely), tmp_path / "runs" / "interrupted"
    places = (("preliminary", 8), ("pretrain", 3), ("finetune", 10))
    for number, (stage, step) in zip((signal.SIGUSR2, signal.SIGTERM) * 2, places, strict=False):
        process = start_training(config)
        wait_for(process, recorded(run, stage, step))
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == EXIT_SAVED, output
        saved = re.search(rf"saved at step (\d+) of stage {stage}; run the same command", output)
        assert saved, output
        latest = json.loads((run / "checkpoints" / stage / "latest.json").read_text())["tag"]
        assert latest == f"step-{int(saved[1]):08d}"
        assert recorded(run, stage, int(saved[1]))()
        assert not recorded(run, stage, int(saved[1]) + 1)()
    train(config)
    assert_same_weights(tmp_path / "runs" / "undisturbed", run)
