"""Settings that make the step faster, smaller or visible, and what they leave as it was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sesame_hpc.config import RuntimeConfig, load_config
from sesame_hpc.stages.train import train
from sesame_hpc.training.precision import autocast_dtype
from sesame_hpc.training.records import MetricsLog


@pytest.fixture
def run(write_config, tmp_path: Path):
    """Train the preliminary stage with some settings; the run folder."""

    def trained(name: str, *settings: str) -> Path:
        train(load_config(write_config(name, *settings)), only="preliminary")
        return tmp_path / "runs" / name

    return trained


def weights(folder: Path) -> dict:
    return load_file(folder / "checkpoints/preliminary/weights.safetensors")


def test_a_profile_and_checkpointed_activations_change_no_bit(run, capsys) -> None:
    plain = weights(run("plain"))
    folder = run("seen", "profile=true", "runtime.activation_checkpointing=true")
    seen = weights(folder)
    assert plain.keys() == seen.keys()
    assert all(plain[key].equal(seen[key]) for key in plain)
    assert (folder / "profile/preliminary.json.gz").stat().st_size > 1000
    assert "data wait" in capsys.readouterr().out


def written_precision(folder: Path) -> str:
    return load_config(folder / "config.yaml").runtime.precision


def test_auto_is_settled_when_a_run_begins_and_stays(run, tmp_path: Path) -> None:
    folder = run("settled", "runtime.precision=auto")
    dtype = autocast_dtype(RuntimeConfig(precision="auto"), torch.device("cpu"))
    assert written_precision(folder) == {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
    explicit = run("explicit", f"runtime.precision={written_precision(folder)}")
    auto, same = weights(folder), weights(explicit)
    assert all(auto[key].equal(same[key]) for key in auto)
    other = "bf16" if dtype == torch.float32 else "fp32"
    kept = run("kept", f"runtime.precision={other}")
    train(load_config(tmp_path / "kept.yaml", ["runtime.precision=auto"]), only="pretrain")
    assert written_precision(kept) == other


def test_the_fused_head_trains_to_the_same_landmarks(run) -> None:
    points = []
    for impl in ("conv", "fused"):
        folder = run(impl, f"head.impl={impl}")
        with np.load(folder / "predictions/preliminary-heldout.npz") as predictions:
            points.append(predictions["points"])
    conv, fused = points
    assert 0 < np.abs(conv - fused).max() < 0.1


def test_records_say_what_the_machine_did(run) -> None:
    records = MetricsLog.read(run("records") / "metrics.jsonl")
    steps = [record for record in records if "loss" in record]
    assert len(steps) == 15
    for record in steps:
        assert 0 <= record["data_wait"] <= 1
        assert 0 < record["mfu"] < 1
        assert record["peak_memory_gib"] > 0.05
