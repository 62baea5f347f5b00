"""Exports: every form computes the same, says what it is, and is not there if it is wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sesame_hpc.inference import export
from sesame_hpc.inference.backends import OnnxBackend
from sesame_hpc.inference.export import export_run
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.inference.torch_backend import TorchBackend, load_network


@pytest.fixture(scope="module")
def network(exported):
    manifest = Manifest.from_json((exported / "config.json").read_text(), "config.json")
    return load_network(exported / "model.safetensors", manifest)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_onnx_and_torchscript_are_pytorch_at_any_batch_size(exported, network, batch):
    crops = np.random.default_rng(batch).random((batch, 3, 32, 32), dtype=np.float32)
    points, spread = TorchBackend(network, "cpu")(crops)
    script = torch.jit.load(exported / "model.torchscript.pt")
    traced = [each.numpy() for each in script(torch.from_numpy(crops))]
    for other in (OnnxBackend(exported / "model.onnx")(crops), traced):
        assert other[0].shape == (batch, 98, 2)
        assert other[1].shape == (batch, 98)
        assert np.abs(other[0] - points).max() * 32 < 1e-3
        np.testing.assert_allclose(other[1], spread, atol=1e-5)


def test_nothing_of_ours_is_in_the_graph(exported):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported / "model.onnx")
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param
    assert [output.name for output in model.graph.output] == ["points", "spread"]


def test_figures_of_the_checks_are_kept_and_told(exported):
    checks = json.loads((exported / "export.json").read_text())
    assert set(checks) == {
        "model.safetensors", "model.onnx", "model.int8.onnx", "model.images.onnx",
        "model.torchscript.pt",
    }  # fmt: skip
    assert checks["model.safetensors"]["largest_error_px"] == 0
    assert 0 < checks["model.onnx"]["largest_error_px"] < 1e-3
    assert checks["model.onnx"]["checked_on"] == "20 faces"
    card = (exported / "README.md").read_text()
    for told in ("wflw98", "12.345", "outline", "1.2 times", "20 faces", "model.int8.onnx"):
        assert told in card


def test_int8_is_smaller_and_close(exported, network):
    full, small = exported / "model.onnx", exported / "model.int8.onnx"
    assert small.stat().st_size < full.stat().st_size
    crops = np.random.default_rng(0).random((4, 3, 32, 32), dtype=np.float32)
    difference = np.abs(OnnxBackend(small)(crops)[0] - OnnxBackend(full)(crops)[0])
    assert 0 < difference.mean() < 0.05


def writes(source: Path):
    """In place of `write_onnx`: the same network, which was exported before."""
    return lambda network, manifest, path: shutil.copy(source, path)


def test_a_form_that_differs_leaves_nothing(run, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "write_onnx", writes(exported / "model.int8.onnx"))
    with pytest.raises(ValueError, match="differs from PyTorch by"):
        export_run(run, "onnx", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_data_random_crops_check_it(make_run, tmp_path, capsys):
    folder = make_run(tmp_path / "runs" / "moved")
    root = str(folder.config().data.root)
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace(root, "/nowhere"))
    (folder.path / "SHA256SUMS").unlink()
    with pytest.warns(UserWarning, match="NaN"):
        export_run(folder.path, "torchscript", tmp_path / "out")
    assert "random crops" in capsys.readouterr().out
    assert "Not calibrated" in (tmp_path / "out" / "README.md").read_text()
    with pytest.warns(UserWarning, match="NaN"), pytest.raises(ValueError, match="--data"):
        export_run(folder.path, "onnx", tmp_path / "out", int8=True)
    export_run(folder.path, "safetensors", tmp_path / "there", data=Path(root))
    assert "calibrated on 12 held-out" in (tmp_path / "there" / "README.md").read_text()


def test_int8_is_for_onnx(run):
    with pytest.raises(ValueError, match="--int8 goes with --to onnx"):
        export_run(run, "safetensors", int8=True)


def test_rounding_of_fp32_itself_is_no_difference(run, exported, tmp_path, monkeypatch, capsys):
    """As with maps so sharp that PyTorch in fp32 is further from float64 than the limit."""
    monkeypatch.setattr(export, "write_onnx", writes(exported / "model.onnx"))
    monkeypatch.setattr(export, "_MOST_ERROR", 1e-9)
    export_run(run, "onnx", tmp_path)
    assert "against float64" in capsys.readouterr().out
    found = json.loads((tmp_path / "export.json").read_text())["model.onnx"]
    assert 0 < found["largest_error_px_float64"] <= 2 * found["pytorch_error_px_float64"] < 1e-3
    assert "where PyTorch itself is" in (tmp_path / "README.md").read_text()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
@pytest.mark.parametrize("limit", ["OMP_NUM_THREADS", "cores"])
def test_onnx_starts_no_thread_beyond_those_that_it_may_use(exported: Path, limit: str) -> None:
    program = (
        "import os, pathlib, sys, onnxruntime\n"
        "from sesame_hpc.inference.backends import OnnxBackend\n"
        "threads = lambda: len(os.listdir('/proc/self/task'))\n"
        "if sys.argv[2] == 'cores': os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "before = threads()\n"
        "backend = OnnxBackend(pathlib.Path(sys.argv[1]))\n"
        "print(threads() - before)"
    )
    own = {key: text for key, text in os.environ.items() if key != "OMP_NUM_THREADS"}
    if limit == "OMP_NUM_THREADS":
        own[limit] = "1"
    shown = subprocess.run(
        [sys.executable, "-c", program, str(exported / "model.onnx"), limit],
        env=own,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == "0\n"
