"""Loading a model never executes what is in its files."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from sesame_hpc import Landmarker
from sesame_hpc.models.weights import load_weights


class Payload:
    """Unpickling it creates the file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.fixture
def trap(tmp_path):
    """Malicious files by their kind, and the file that they create when they get to run."""
    fired = tmp_path / "fired"
    plain, zipped = tmp_path / "plain.pkl", tmp_path / "zipped.pt"
    plain.write_bytes(pickle.dumps({"backbone.x": Payload(fired)}))
    torch.save({"backbone.x": Payload(fired)}, zipped)
    pickle.loads(plain.read_bytes())
    assert fired.exists(), "the trap works"
    fired.unlink()
    return [plain, zipped], fired


def test_a_pickle_named_safetensors_is_refused_unread(trap, run, exported, tmp_path):
    files, fired = trap
    for number, file in enumerate(files):
        in_run, in_export = tmp_path / f"run{number}", tmp_path / f"export{number}"
        shutil.copytree(run, in_run)
        shutil.copytree(exported, in_export)
        shutil.copy(file, in_run / "checkpoints" / "finetune" / "weights.safetensors")
        shutil.copy(file, in_export / "model.safetensors")
        (in_run / "checkpoints" / "finetune" / "SHA256SUMS").unlink()
        (in_export / "SHA256SUMS").unlink()
        for folder in (in_run, in_export):
            with pytest.raises(ValueError, match="is not a safetensors file"):
                Landmarker.load(folder)
        with pytest.raises(ValueError, match="is not a safetensors file"):
            load_weights(in_export / "model.safetensors")
    assert not fired.exists()


def test_pickles_beside_a_model_or_instead_of_one_are_left_alone(trap, exported, tmp_path):
    files, fired = trap
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(exported / name, folder)
    for name in ("pytorch_model.bin", "model.pt", "weights.pth", "__init__.py"):
        shutil.copy(files[1], folder / name)
    Landmarker.load(folder)
    for file in files:
        with pytest.raises(ValueError, match="not a model that can be loaded"):
            Landmarker.load(file)
        onnx = file.with_suffix(".onnx")
        shutil.copy(file, onnx)
        with pytest.raises(ValueError, match="not an ONNX model"):
            Landmarker.load(onnx)
    assert not fired.exists()


def test_a_description_is_data(exported, tmp_path):
    shutil.copy(exported / "model.safetensors", tmp_path)
    config = tmp_path / "config.json"
    config.write_text('{"format": "!!python/object/apply:os.system [\'true\']"}')
    with pytest.raises(ValueError, match=r"config\.json is not a model description"):
        Landmarker.load(tmp_path)
    config.write_text((exported / "config.json").read_text().replace('"width": 8', '"width": 12'))
    with pytest.raises(ValueError, match="does not fit the network"):
        Landmarker.load(tmp_path)
