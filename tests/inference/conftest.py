"""A finished run with random weights, which predict and export treat like any other."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from shared_folder import shared_folder

from sesame_hpc.config import load_config
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.models.weights import save_weights
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import finish_stage
from sesame_hpc.run.settings import open_run
from sesame_hpc.synth import synthesise

if TYPE_CHECKING:
    from sesame_hpc import Landmarker

TINY = """
data: {heldout: 12, threads: 1}
model: {stacks: 2, width: 8, levels: 1, image_size: 32, map_size: 8}
"""


@pytest.fixture(scope="session")
def faces_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 training faces and a test face of 96 pixels in the WFLW layout."""
    root = tmp_path_factory.mktemp("synth") / "faces"
    synthesise(root, train=20, test=1, seed=3, size=96, workers=1)
    return root


@pytest.fixture(scope="session")
def make_run(faces_root: Path) -> Callable[..., RunFolder]:
    """Makes a run folder whose stage finetune is finished, with an EMA; its maps are peaked."""

    def make(path: Path, *overrides: str) -> RunFolder:
        base = path.parent / "tiny.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        base.write_text(TINY)
        config = load_config(base, [f"data.root={faces_root}", f"output={path}", *overrides])
        folder = RunFolder(path)
        open_run(
            folder, config, {"directory": str(path.parent)}, read_faces(config, folder).identity
        )
        landmarks = read_faces(config, folder).scheme.num_landmarks
        torch.manual_seed(5)
        network = LandmarkNet(config.model, config.head, landmarks)
        stacks: Any = network.backbone.stacks
        for stack in stacks:
            torch.nn.init.normal_(stack.get_parameter("head.weight"), std=2.0)
        save_weights(folder.weights("finetune"), network.state_dict())
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.05)
        save_weights(folder.weights("finetune", averaged=True), network.state_dict())
        regions = {"outline": 1.0, "pupils": 2.0}
        table = {"nme": 12.345, "regions": regions, "faces": 12}
        table |= {"ema": table | {"nme": 11.111}}
        finish_stage(folder, "finetune", {"seconds": 1.0, "heldout": table, "test": None})
        return folder

    return make


@pytest.fixture(scope="session")
def run(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, calibrated; read it only."""
    from sesame_hpc import Landmarker

    folder = make_run(tmp_path_factory.mktemp("runs") / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Landmarker.load(folder.path)
    return folder.path


@pytest.fixture(scope="session")
def safetensors(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of `run` in one form."""
    from sesame_hpc.inference.export import export_run

    out = tmp_path_factory.mktemp("safetensors")
    export_run(run, "safetensors", out)
    return out


@pytest.fixture(scope="session")
def landmarker(run: Path) -> "Landmarker":
    from sesame_hpc import Landmarker

    return Landmarker.load(run)


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All forms of export of `run`, or of the equal one of another process."""
    pytest.importorskip("onnxruntime")
    from sesame_hpc.inference.export import export_run

    def fill(out: Path) -> None:
        export_run(run, "safetensors", out)
        export_run(run, "onnx", out, int8=True, images=True)
        export_run(run, "torchscript", out)

    return shared_folder(tmp_path_factory, "export", fill)
