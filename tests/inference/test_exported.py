"""`sesame predict FOLDER` with whatever was exported into it."""

import shutil
import zipfile

import numpy as np
import pytest
import torch

from sesame_hpc import Landmarker
from sesame_hpc.inference.export import export_run

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def points(run):
    return Landmarker.load(run, "cpu")(IMAGE).points


@pytest.mark.parametrize(
    ("files", "tolerance"),
    [
        (["model.onnx"], 2e-3),
        (["model.torchscript.pt"], 2e-3),
        (["config.json", "model.safetensors"], 2e-3),
        (["config.json", "model.onnx"], 2e-3),
        (["model.int8.onnx"], 20),
    ],
)
def test_any_export_is_found_in_its_folder_and_as_a_file(
    exported, points, tmp_path, files, tolerance
):
    for name in (*files, "README.md", "export.json"):
        shutil.copy(exported / name, tmp_path)
    for path in (tmp_path, tmp_path / files[-1]):
        landmarker = Landmarker.load(path, "cpu")
        np.testing.assert_allclose(landmarker(IMAGE).points, points, atol=tolerance)
        assert landmarker.manifest.calibration is not None
        with pytest.raises(ValueError, match="is what it was exported as"):
            Landmarker.load(path, "cpu", weights="ema")


def test_a_flipping_network_survives_torchscript(run, tmp_path):
    from sesame_hpc.inference.variant import Variant

    export_run(run, "torchscript", tmp_path, variant=Variant(flip=True))
    expected = Landmarker.load(run, "cpu", flip=True)(IMAGE).points
    np.testing.assert_allclose(Landmarker.load(tmp_path, "cpu")(IMAGE).points, expected, atol=2e-3)


def test_an_empty_export_folder_says_what_a_model_is(tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(FileNotFoundError, match=r"no model at .*model\.onnx or a model\.torchs"):
        Landmarker.load(tmp_path)


def test_torchscript_code_that_would_run_on_loading_is_refused(exported, tmp_path):
    class Saves(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.ones(2)

        @torch.jit.export
        def __getstate__(self):
            return self.weight, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]):
            self.weight, self.training = state[0], state[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with zipfile.ZipFile(exported / "model.torchscript.pt") as archive:
        (config,) = (n for n in archive.namelist() if n.endswith("extra/config.json"))
        extra = {"config.json": archive.read(config)}
    path = tmp_path / "model.torchscript.pt"
    torch.jit.save(torch.jit.script(Saves()), str(path), _extra_files=extra)
    with pytest.raises(ValueError, match="holds code that runs when it is loaded"):
        Landmarker.load(tmp_path)
    path.write_bytes((exported / "model.torchscript.pt").read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a model that can be loaded"):
        Landmarker.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.int8.onnx", "model.torchscript.pt", "model.safetensors"]
)
def test_a_model_that_was_changed_is_not_loaded(exported, tmp_path, name):
    """Where its checksum is listed beside it; the change is one that would load."""
    copy = tmp_path / "export"
    shutil.copytree(exported, copy)
    path = copy / name
    Landmarker.load(path, "cpu")
    if name.endswith(".pt"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("model/extra/note", "changed")
    else:
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"its SHA-256 is not that in SHA256SUMS beside it"):
        Landmarker.load(path, "cpu")
