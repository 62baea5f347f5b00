"""Models in folders: runs and exports."""

import json
import warnings
from pathlib import Path

import numpy as np

from sesame_hpc.config import BoxConfig
from sesame_hpc.files import write_text_atomic
from sesame_hpc.inference.backends import Device
from sesame_hpc.inference.calibration import check_calibration, fit_calibration
from sesame_hpc.inference.heldout import measure, run_config
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.inference.torch_backend import TorchBackend, load_network
from sesame_hpc.stages.faces import read_faces, run_scheme
from sesame_hpc.stages.folder import RunFolder

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "load_folder", "load_run", "run_manifest"]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

_COORDINATE_STAGES = ("preliminary", "finetune")


def load_folder(path: Path, device: Device, stage: str, batch_size: int) -> Landmarker:
    """See `Landmarker.load`."""
    if (path / CONFIG_FILE).is_file():
        manifest = Manifest.from_json((path / CONFIG_FILE).read_bytes(), path / CONFIG_FILE)
        network = load_network(path / WEIGHTS_FILE, manifest)
        return Landmarker(TorchBackend(network, device), manifest, batch_size)
    if (path / "config.yaml").is_file():
        return load_run(RunFolder(path), device, stage, batch_size)
    if path.is_file():
        raise ValueError(
            f"{path} is no model that can be loaded; valid are a run folder, a folder of "
            "sesame export --to safetensors, and a .onnx file"
        )
    raise FileNotFoundError(
        f"no model at {path}: a run folder has a config.yaml, an exported one a {CONFIG_FILE}"
    )


def run_manifest(folder: RunFolder, stage: str) -> Manifest:
    """What the run's config says of a stage's network; uncalibrated.

    Raises ValueError for a stage without coordinates.
    """
    if stage not in _COORDINATE_STAGES:
        raise ValueError(
            f"stage {stage!r} predicts no landmarks; {' or '.join(_COORDINATE_STAGES)}"
        )
    config = folder.config()
    return Manifest(
        name=f"{folder.path.resolve().name}/{stage}",
        scheme=run_scheme(config, folder),
        model=config.model,
        head=config.head,
        box=BoxConfig(protocol=config.data.box.protocol, scale=config.data.box.scale),
    )


def _calibrated(folder: RunFolder, landmarker: Landmarker, data: Path | None) -> Manifest:
    """The landmarker's manifest with a calibration on the run's held-out faces.

    `data` stands for the run's own data folder. Raises FileNotFoundError or ValueError where the
    held-out faces cannot be read.
    """
    config = run_config(folder, data)
    heldout = read_faces(config, folder).heldout
    spread, errors, faces = measure(landmarker, heldout, config.data)
    groups = {image: number for number, image in enumerate(dict.fromkeys(faces.images))}
    check = check_calibration(spread, errors, np.array([groups[image] for image in faces.images]))
    return landmarker.manifest.model_copy(
        update={"calibration": fit_calibration(spread, errors), "check": check}
    )


def load_run(
    folder: RunFolder,
    device: Device,
    stage: str,
    batch_size: int = 32,
    data: Path | None = None,
) -> Landmarker:
    """A run's landmarker, calibrated if its held-out faces are there; `data`: where they are."""
    manifest = run_manifest(folder, stage)
    network = load_network(folder.weights(stage), manifest)
    landmarker = Landmarker(TorchBackend(network, device), manifest, batch_size)
    stored = folder.stage(stage) / "calibration.json"
    if not stored.exists():
        try:
            manifest = _calibrated(folder, landmarker, data)
        except (FileNotFoundError, ValueError) as error:
            warnings.warn(
                f"confidences of {manifest.name} will be NaN, since its held-out faces, which "
                f"would calibrate them, cannot be read: {error}",
                stacklevel=4,
            )
            return landmarker
        _keep(stored, manifest)
    else:
        manifest = _restored(stored, manifest)
    return Landmarker(TorchBackend(network, device), manifest, batch_size)


def _keep(path: Path, manifest: Manifest) -> None:
    """A run folder that cannot be written is calibrated again next time."""
    parts = manifest.model_dump(mode="json", include={"calibration", "check"})
    try:
        write_text_atomic(path, json.dumps(parts, indent=2) + "\n")
    except OSError:
        return


def _restored(path: Path, manifest: Manifest) -> Manifest:
    try:
        parts = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error}); remove it to calibrate again") from None
    whole = manifest.model_dump(mode="json") | parts
    return Manifest.from_json(json.dumps(whole), path)
