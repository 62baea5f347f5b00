"""Damage to a finished run: said by everyone who reads it, and made again by the same command."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from training_process import clean_environment

from sesame_hpc.choices import STAGES
from sesame_hpc.config import load_config
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.launch.status import status_of
from sesame_hpc.models.weights import load_weights
from sesame_hpc.process import node_name
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import stage_damage
from sesame_hpc.stages.train import train
from sesame_hpc.stages.verify import verify

RESULTS = [
    "checkpoints/preliminary/weights.safetensors",
    "checkpoints/preliminary/result.json",
    "checkpoints/pretrain/weights.safetensors",
    "checkpoints/finetune/SHA256SUMS",
    "checkpoints/finetune/weights-ema.safetensors",
    "predictions/finetune-test.npz",
    "masking.json",
]
DERIVED = ["summary.json", "report.html"]
HISTORY = ["environment.json", "metrics.jsonl"]


def damage(path: Path, how: str, seed: int = 0) -> None:
    """Flips a bit, cuts, empties or deletes a file; always the same way."""
    generator, content = random.Random(f"{path.name}{how}{seed}"), bytearray(path.read_bytes())
    if how == "flipped":
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    elif how == "cut":
        del content[generator.randrange(len(content)) :]
    elif how == "emptied":
        content.clear()
    path.write_bytes(content)
    if how == "deleted":
        path.unlink()


@pytest.fixture
def run(finished, tmp_path: Path):
    """A copy of a finished run, its config, and the original."""
    _, original, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    return copy, load_config(copy / "config.yaml", [f"output={copy}"]), original


def same_bits(run: Path, original: Path) -> None:
    for stage in STAGES:
        key = f"checkpoints/{stage}/weights.safetensors"
        one, other = load_file(run / key), load_file(original / key)
        assert all(one[name].equal(other[name]) for name in other)


def test_a_whole_run_has_no_damage(run) -> None:
    folder, _, _ = run
    found = verify(folder)
    assert found.problems == []
    assert found.files > 15
    assert [stage_damage(RunFolder(folder), stage) for stage in STAGES] == [[], [], []]


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "deleted"])
@pytest.mark.parametrize("name", RESULTS)
def test_damage_of_any_result_is_found_and_named(run, name: str, how: str) -> None:
    folder, _, _ = run
    damage(folder / name, how)
    problems = verify(folder).problems
    assert any(Path(name).name in problem for problem in problems), problems
    data = read_report_data(RunFolder(folder))
    assert any(Path(name).name in problem for problem in data.problems)
    (status,) = status_of([folder])
    assert any(Path(name).name in problem for problem in status.problems)


def test_damaged_results_are_made_again_with_the_same_bits(run, capsys) -> None:
    """One file of each stage at a time would take a start each: here all of them at once."""
    folder, config, original = run
    for number, name in enumerate(RESULTS):
        damage(folder / name, ("flipped", "cut", "emptied", "deleted")[number % 4])
    train(config)
    said = capsys.readouterr().out
    assert said.count("makes it again") >= len(STAGES)
    assert "This run is complete" not in said
    assert "from step 15" in said
    assert verify(folder).problems == []
    same_bits(folder, original)
    one, other = (json.loads((each / "summary.json").read_text()) for each in (folder, original))
    assert one["stages"] == other["stages"]


@pytest.mark.parametrize("how", ["flipped", "emptied", "deleted"])
def test_summary_and_report_are_made_again_at_the_next_command(run, capsys, how: str) -> None:
    folder, config, original = run
    for name in DERIVED:
        damage(folder / name, how)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    torn = folder / f".report.html.{node_name()}-{ended.pid}-0123abcd.tmp.html"
    torn.write_text("<html")
    train(config)
    assert not torn.exists()
    assert "This run is complete" in capsys.readouterr().out
    assert (folder / "summary.json").read_bytes() == (original / "summary.json").read_bytes()
    assert "<html" in (folder / "report.html").read_text("utf-8")
    assert verify(folder).problems == []


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe\x00", b"null", b"3"])
def test_torn_history_blocks_nobody(run, content: bytes, capsys) -> None:
    folder, config, _ = run
    (folder / "environment.json").write_bytes(content)
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = content.replace(b"\n", b"") + b"\n"
    (folder / "metrics.jsonl").write_bytes(b"".join(lines))
    train(config)
    assert "This run is complete" in capsys.readouterr().out
    data = read_report_data(RunFolder(folder))
    assert data.starts == []
    assert len(data.records) == len(lines) - 1
    assert any("metrics.jsonl: 1 line damaged" in problem for problem in data.problems)
    assert any("metrics.jsonl" in problem for problem in status_of([folder])[0].problems)
    assert any("metrics.jsonl:4" in problem for problem in verify(folder).problems)


def test_damaged_weights_are_not_predicted_with(run) -> None:
    folder, _, _ = run
    path = folder / "checkpoints" / "finetune" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    assert load_file(path)  # the format itself does not see it
    for read in (lambda: load_weights(path), lambda: Landmarker.load(folder, "cpu")):
        with pytest.raises(ValueError, match=r"weights\.safetensors: is damaged or was changed"):
            read()


def test_a_damaged_calibration_is_made_again(run) -> None:
    folder, _, _ = run
    before = Landmarker.load(folder, "cpu").manifest.calibration
    path = folder / "checkpoints" / "finetune" / "calibration.json"
    for how in ("flipped", "cut", "emptied"):
        damage(path, how)
        assert any("calibration.json" in problem for problem in verify(folder).problems)
        assert Landmarker.load(folder, "cpu").manifest.calibration == before
        assert verify(folder).problems == []


def test_the_command_names_files_and_ends_with_one(run) -> None:
    folder, _, _ = run
    command = [sys.executable, "-m", "sesame_hpc", "verify", str(folder)]
    options: dict[str, Any] = {"env": clean_environment(), "capture_output": True, "text": True}
    assert subprocess.run(command, **options).returncode == 0
    damage(folder / "predictions" / "finetune-heldout.npz", "flipped")
    ended = subprocess.run(command, **options)
    assert ended.returncode == 1
    assert "finetune-heldout.npz: is damaged or was changed" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_what_is_none_of_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a run, an export or a pack"):
        verify(tmp_path)
