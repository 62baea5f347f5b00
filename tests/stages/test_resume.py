"""Interrupted runs end with the bits of undisturbed ones; ranks see the same samples."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_process import clean_environment, kill_when, start_training, train

from sesame_hpc.choices import STAGES

pytestmark = pytest.mark.slow


def final_weights(run: Path) -> dict:
    files = [f"{stage}/weights.safetensors" for stage in STAGES]
    return {
        f"{file}/{key}": value
        for file in [*files, "finetune/weights-ema.safetensors"]
        for key, value in load_file(run / "checkpoints" / file).items()
    }


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = final_weights(first), final_weights(second)
    assert one.keys() == other.keys()
    different = [key for key in one if not one[key].equal(other[key])]
    assert not different


def unlabelled(faces: Path) -> list[str]:
    """Settings of few labels, and unlabelled faces whose landmarks are predicted each epoch."""
    pretrain = {"epoch_samples": 40, "unlabelled_share": 0.75, "refresh_epochs": 1}
    return [
        "data.labels=12",
        "data.unlabelled_rest=true",
        f"data.unlabelled={faces / 'WFLW_images'}",
        *(f"stages.pretrain.{key}={value}" for key, value in pretrain.items()),
        "stages.preliminary.epoch_samples=40",
        "stages.finetune.epoch_samples=40",
    ]


def test_sigkill_in_every_stage_ends_with_the_same_bits(
    write_config, faces: Path, tmp_path: Path
) -> None:
    """Where what was predicted for unlabelled faces is damaged, it is predicted again."""
    settings = ["stages.finetune.ema=0.8", *unlabelled(faces)]
    train(write_config("undisturbed", *settings))
    config, run = write_config("killed", *settings), tmp_path / "runs" / "killed"
    for stage, step in (("preliminary", 8), ("pretrain", 8), ("finetune", 11)):
        kill_when(config, run, stage, step)
        assert not (run / "checkpoints" / stage / "result.json").exists()
        if stage == "pretrain":
            for number in (0, 1):
                path = run / f"predictions/pretrain-unlabelled-{number:04d}.npz"
                assert path.exists()
                path.write_bytes(b"damaged")
    output = train(config)
    assert "from step 10" in output
    assert_same_weights(tmp_path / "runs" / "undisturbed", run)
    one, other = (
        json.loads((tmp_path / "runs" / name / "summary.json").read_text())
        for name in ("undisturbed", "killed")
    )
    assert one["stages"] == other["stages"]
    assert len(json.loads((run / "environment.json").read_text())["starts"]) == 4


def test_a_half_written_checkpoint_is_not_read(write_config, tmp_path: Path) -> None:
    train(write_config("whole"), "--stage", "preliminary")
    config, run = write_config("torn"), tmp_path / "runs" / "torn"
    kill_when(config, run, "preliminary", 8)
    folder = run / "checkpoints" / "preliminary"
    latest = json.loads((folder / "latest.json").read_text())["tag"]
    torn = folder / "step-00000014"
    torn.mkdir(exist_ok=True)
    (torn / "state.pt").write_bytes(b"half")
    assert latest != torn.name
    train(config, "--stage", "preliminary")
    key = "checkpoints/preliminary/weights.safetensors"
    one, other = (load_file(tmp_path / "runs" / name / key) for name in ("whole", "torn"))
    assert all(one[name].equal(other[name]) for name in one)


def test_a_second_process_keeps_out_of_the_folder(write_config, tmp_path: Path) -> None:
    config, run = write_config("shared", "stages.preliminary.epochs=500"), tmp_path / "runs/shared"
    first = start_training(config)
    try:
        deadline = time.monotonic() + 120
        while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        second = start_training(config)
        output, _ = second.communicate(timeout=120)
        assert second.returncode == 2
        assert "another process is training in" in output
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


def torchrun(config: Path, ranks: int) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    command += [f"--master-port={port}", "-m", "sesame_hpc", "train", str(config)]
    finished = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.distributed
@pytest.mark.parametrize("zero_stage", [0, 1])
def test_two_ranks_finish_all_stages(
    write_config, faces: Path, tmp_path: Path, zero_stage: int
) -> None:
    settings = unlabelled(faces) if zero_stage else []
    config = write_config("ranks", f"runtime.zero_stage={zero_stage}", *settings)
    output = torchrun(config, 2)
    assert output.count("all points") == 2
    health = json.loads((tmp_path / "runs" / "ranks" / "health.json").read_text())
    assert list(health) == ["preliminary", "pretrain", "finetune"]
    for measured in health.values():
        assert [rank["rank"] for rank in measured["ranks"]] == [0, 1]
        assert all(rank["tflops"] > 0 < rank["gigabytes_per_second"] for rank in measured["ranks"])
    assert "pretrain: matrix products at" in output
    summary = json.loads((tmp_path / "runs" / "ranks" / "summary.json").read_text())
    assert summary["faces"] == 8
    assert summary["test"]["faces"] == 10


@pytest.mark.distributed
def test_a_run_moves_from_two_ranks_to_one(write_config, tmp_path: Path) -> None:
    config = write_config("moving")
    torchrun(config, 2)
    run = tmp_path / "runs" / "moving"
    for name in ("result.json", "weights.safetensors"):
        (run / "checkpoints" / "finetune" / name).unlink()
    (run / "summary.json").unlink()
    output = train(config)
    assert "finetune: 3 epochs of 5 steps, from step 15" in output
