"""A study of two arms and two seeds on rendered faces, killed in the middle, as a process."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_process import clean_environment, train

pytestmark = pytest.mark.slow

STAGES = {"baseline": ["preliminary"], "adaptive": ["preliminary", "pretrain", "finetune"]}


def run_study(path: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "sesame_hpc", "study", str(path), *arguments],
        env=clean_environment() | {"COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def kill_study_when(path: Path, run: Path, stage: str, step: int) -> None:
    """Start the study and SIGKILL it once `run` has recorded `step` of `stage`."""
    wanted = f'"stage": "{stage}", "epoch": {(step - 1) // 5 + 1}, "step": {step},'
    metrics = run / "metrics.jsonl"
    command = [sys.executable, "-m", "sesame_hpc", "study", str(path)]
    with (
        (path.parent / "killed.log").open("w") as log,
        subprocess.Popen(command, env=clean_environment(), stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 400
            while not (metrics.exists() and wanted in metrics.read_text()):
                assert process.poll() is None, (path.parent / "killed.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.kill()
    assert not (run / "checkpoints" / stage / "result.json").exists()


def weights(run: Path, stages: list[str]) -> dict[str, torch.Tensor]:
    return {
        f"{stage}/{key}": value
        for stage in stages
        for key, value in load_file(run / "checkpoints" / stage / "weights.safetensors").items()
    }


def assert_same_weights(first: Path, second: Path, stages: list[str]) -> None:
    one, other = weights(first, stages), weights(second, stages)
    assert one.keys() == other.keys()
    assert not [key for key in one if not one[key].equal(other[key])]


def figures(run: Path, stage: str) -> dict[str, Any]:
    result = json.loads((run / "checkpoints" / stage / "result.json").read_text())
    return {key: value for key, value in result.items() if key not in ("seconds", "cpu_seconds")}


def test_a_killed_study_ends_with_the_bits_of_runs_trained_alone(
    write_study: Callable[..., Path], faces: Path, tmp_path: Path
) -> None:
    path, out = write_study(root=faces), tmp_path / "out"
    second = out / "runs/adaptive/seed-1"
    kill_study_when(path, second, "pretrain", 8)
    first = out / "runs/adaptive/seed-0"
    before = {file: file.stat().st_mtime_ns for file in first.rglob("*") if file.is_file()}
    text = run_study(path)
    assert before == {file: file.stat().st_mtime_ns for file in first.rglob("*") if file.is_file()}
    assert "Run 1 of 1: arm adaptive, seed 1" in text
    assert "from step 8" in text or "from step 6" in text

    alone = tmp_path / "alone.yaml"
    config = (second / "config.yaml").read_text()
    alone.write_text(config.replace(str(second), str(tmp_path / "alone")))
    train(alone)
    assert not (tmp_path / "alone/shared.json").exists()
    assert_same_weights(tmp_path / "alone", second, STAGES["adaptive"])
    for stage in STAGES["adaptive"]:
        assert figures(tmp_path / "alone", stage) == figures(second, stage)
    masking = [(run / "masking.json").read_text() for run in (second, tmp_path / "alone")]
    assert masking[0] == masking[1]

    check_shared(out)
    check_results(out, text)
    again = run_study(path, "--collect")
    assert "Run 1" not in again
    assert "− baseline" in again


def check_shared(out: Path) -> None:
    """The preliminary stage of a seed was trained once."""
    for seed in (0, 1):
        trained, took = (out / f"runs/{arm}/seed-{seed}" for arm in STAGES)
        files = [run / "checkpoints/preliminary/weights.safetensors" for run in (trained, took)]
        assert files[0].samefile(files[1])
        note = json.loads((took / "shared.json").read_text())["preliminary"]
        assert note["from"] == f"../../baseline/seed-{seed}"
        assert note["taken"]
        records = [
            [
                record
                for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
                if record["stage"] == "preliminary"
            ]
            for run in (trained, took)
        ]
        assert records[0] == records[1]
        assert not (trained / "shared.json").exists()
        assert not (trained / "checkpoints/pretrain/weights.safetensors").exists()


def check_results(out: Path, text: str) -> None:
    study = json.loads((out / "study.json").read_text())
    assert study["missing"] == []
    assert {name: arm["stages"] for name, arm in study["arms"].items()} == STAGES
    assert [arm["samples"] for arm in study["arms"].values()] == [120.0, 360.0]
    (pair,) = study["comparisons"]
    assert (pair["seeds"], pair["samples"]) == ([0, 1], 3.0)
    for arm, stages in STAGES.items():
        for seed in ("0", "1"):
            run = study["arms"][arm]["runs"][seed]
            summary = json.loads((out / run["folder"] / "summary.json").read_text())
            assert run["nme"] == pytest.approx(summary["stages"][stages[-1]]["nme"])
            assert run["regions"] == pytest.approx(summary["stages"][stages[-1]]["regions"])
            assert len(run["curve"]) == 3 * (1 if arm == "baseline" else 2)
    nme = {arm: study["arms"][arm]["runs"]["0"]["nme"] for arm in STAGES}
    difference = pair["by_seed"]["0"]["difference"]
    assert difference == pytest.approx(nme["adaptive"] - nme["baseline"])
    page = (out / "study.html").read_text("utf-8")
    assert "adaptive" in page
    assert "not finished" not in page
    for run in STAGES:
        report = (out / f"runs/{run}/seed-0/report.html").read_text("utf-8")
        assert "One seed says nothing about the method." in report
    assert "One seed says nothing about the method." in text


def test_a_warm_restart_begins_with_the_whole_network(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    """With a rate near zero, the weights of preliminary, heads and all, are those of the end."""
    stages = "{run: [preliminary, finetune], finetune: {start_from: preliminary, epochs: 1}}"
    rates = ("stages.finetune.lr=1e-12", "stages.finetune.final_lr=1e-12")
    output = train(write_config("restart", f"stages={stages}", *rates))
    assert "finetune starts from preliminary: the whole network" in output
    run = tmp_path / "runs/restart"
    one, other = (weights(run, [stage]) for stage in ("preliminary", "finetune"))
    learned = [
        key.partition("/")[2] for key in one if "running_" not in key and "num_batches" not in key
    ]
    assert any(".head." in key for key in learned)
    for key in learned:
        assert one[f"preliminary/{key}"].allclose(other[f"finetune/{key}"], atol=1e-6), key
    summary = json.loads((run / "summary.json").read_text())
    assert list(summary["seconds"]) == ["preliminary", "finetune"]
