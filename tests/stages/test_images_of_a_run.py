"""Runs on packs, and runs that leave out images which cannot be read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_process import kill_when, start_training, train

from sesame_hpc.data.division import split_heldout
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.pack import PackSettings, write_pack
from sesame_hpc.training.records import MetricsLog

pytestmark = pytest.mark.slow
ONE_STAGE = ("--stage", "preliminary")


def weights(run: Path) -> dict:
    return load_file(run / "checkpoints/preliminary/weights.safetensors")


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(one[key].equal(other[key]) for key in one)


def result(run: Path) -> dict:
    return json.loads((run / "checkpoints/preliminary/result.json").read_text())


def test_a_pack_of_originals_trains_the_same_network(write_config, faces: Path, tmp_path: Path):
    parts = {split: read_annotations(faces, "wflw", split) for split in ("train", "test")}
    write_pack(parts, tmp_path / "pack", PackSettings())
    train(write_config("folder"), *ONE_STAGE)
    train(write_config("pack", f"data.root={tmp_path / 'pack'}", "data.format=pack"), *ONE_STAGE)
    folder, pack = (tmp_path / "runs" / name for name in ("folder", "pack"))
    assert same(weights(folder), weights(pack))
    for part in ("heldout", "test"):
        assert result(folder)[part] == result(pack)[part]


def test_the_error_does_not_move_with_a_shrunk_pack(write_config, faces: Path, tmp_path: Path):
    """A network that has learnt something, on crops of 32 pixels from files and from a pack."""
    test = {"test": read_annotations(faces, "wflw", "test")}
    write_pack(test, tmp_path / "pack", PackSettings(size=32))
    train(write_config("trained", "stages.preliminary.epochs=12"), *ONE_STAGE)
    run = tmp_path / "runs" / "trained"

    def nme(root: Path, format: str) -> float:
        figures = tmp_path / "figures.json"
        command = ["eval", run, "--data", root, "--format", format, "--split", "test"]
        command += ["--stage", "preliminary", "--json", figures]
        subprocess.run([sys.executable, "-m", "sesame_hpc", *map(str, command)], check=True)
        return json.loads(figures.read_text())["nme"]

    assert nme(tmp_path / "pack", "pack") == pytest.approx(nme(faces, "wflw"), rel=0.01)


@pytest.fixture
def spoilt(faces: Path, tmp_path: Path) -> tuple[Path, int]:
    """A copy of the faces with one training image that does not decode, and its sample id."""
    root = tmp_path / "spoilt"
    shutil.copytree(faces, root)
    training, _ = split_heldout(read_annotations(root, "wflw", "train"), 8, 0)
    training.image_path(0).write_bytes(b"no image")
    return root, int(training.sample_ids[0])


def test_a_bad_image_is_recorded_and_resumes_bit_for_bit(write_config, spoilt, tmp_path: Path):
    root, bad = spoilt
    settings = (f"data.root={root}", "data.on_error=skip", "data.max_skipped=0.05")
    output = train(write_config("undisturbed", *settings), *ONE_STAGE)
    assert f"skipped sample {bad} (1 so far)" in output
    assert f"preliminary: 1 unreadable face skipped; new: {bad}" in output
    killed = write_config("killed", *settings)
    kill_when(killed, tmp_path / "runs" / "killed", "preliminary", 8)
    train(killed, *ONE_STAGE)
    for name in ("undisturbed", "killed"):
        run = tmp_path / "runs" / name
        assert result(run)["skipped"] == [bad]
        records = MetricsLog.read(run / "metrics.jsonl")
        assert [record["skipped"] for record in records if "skipped" in record] == [1]
    assert same(*(weights(tmp_path / "runs" / name) for name in ("undisturbed", "killed")))


def test_by_default_a_bad_image_stops_the_run(write_config, spoilt):
    process = start_training(write_config("stopped", f"data.root={spoilt[0]}"), *ONE_STAGE)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "the image cannot be decoded" in output
    assert "list_98pt_rect_attr_train.txt:" in output
