"""Models in folders: runs and exports."""

import json
import warnings
from pathlib import Path

import numpy as np

from sesame_hpc.checksums import read_verified, write_listed
from sesame_hpc.choices import Device
from sesame_hpc.config import BoxConfig
from sesame_hpc.files import as_json, parse_json
from sesame_hpc.inference.calibration import check_calibration, fit_calibration
from sesame_hpc.inference.crop_model import CropModel
from sesame_hpc.inference.exported import CONFIG_FILE, WEIGHTS_FILE
from sesame_hpc.inference.heldout import Measured, measure
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.inference.refinement import box_offsets
from sesame_hpc.inference.torch_backend import TorchBackend, load_network
from sesame_hpc.inference.torchscript import is_torchscript, read_torchscript
from sesame_hpc.inference.variant import Variant
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces, run_scheme
from sesame_hpc.run.folder import RunFolder

__all__ = ["calibrated", "load_folder", "load_run"]


def load_folder(path: Path, device: Device, variant: Variant, batch_size: int) -> CropModel:
    """See `Landmarker.load`."""
    if (path / CONFIG_FILE).is_file():
        manifest = Manifest.from_json(read_verified(path / CONFIG_FILE), path / CONFIG_FILE)
        variant.check_export(manifest, path)
        network = load_network(path / WEIGHTS_FILE, manifest)
        return CropModel(TorchBackend(network, device), manifest, batch_size)
    if (path / "config.yaml").is_file():
        return load_run(RunFolder(path), device, variant, batch_size)
    if is_torchscript(path):
        network, manifest = read_torchscript(path)
        variant.check_export(manifest, path)
        return CropModel(TorchBackend(network, device), manifest, batch_size)
    if path.is_file():
        raise ValueError(
            f"{path} is not a model that can be loaded; valid are a run folder, a folder of "
            "sesame export, and the files in it"
        )
    raise FileNotFoundError(
        f"no model at {path}: a run folder has a config.yaml, a folder of sesame export a "
        "model.safetensors with its config.json, a model.onnx or a model.torchscript.pt"
    )


def _manifest(folder: RunFolder, variant: Variant) -> Manifest:
    """What the run's config says of one of its networks; uncalibrated."""
    config = folder.config()
    return Manifest(
        name=f"{folder.path.resolve().name}/{variant.stage_of(folder)}",
        weights=variant.weights,
        flip=variant.flip,
        scheme=run_scheme(config, folder),
        model=config.model.model_copy(update={"weights": None}),  # a path of this machine
        head=config.head,
        box=BoxConfig(protocol=config.data.box.protocol, scale=config.data.box.scale),
    )


def calibrated(manifest: Manifest, measured: Measured) -> Manifest:
    """`manifest` with box offsets, and a calibration of what its network was measured at."""
    spread, errors, faces = measured
    groups = {image: number for number, image in enumerate(dict.fromkeys(faces.images))}
    check = check_calibration(spread, errors, np.array([groups[image] for image in faces.images]))
    learnt = {"calibration": fit_calibration(spread, errors), "check": check}
    offsets = box_offsets(faces, manifest.box.protocol)
    return manifest.model_copy(update=learnt | {"box_offsets": offsets})


def load_run(
    folder: RunFolder,
    device: Device,
    variant: Variant,
    batch_size: int = 32,
    data: Path | None = None,
) -> CropModel:
    """A run's network, calibrated if its held-out faces are there; `data`: where they are."""
    manifest = _manifest(folder, variant)
    network = load_network(variant.weights_file(folder), manifest)
    model = CropModel(TorchBackend(network, device), manifest, batch_size)
    stored = variant.calibration_file(folder)
    restored = _restored(stored, manifest)
    if restored is None:
        try:
            config = run_config(folder, data)
            heldout = read_faces(config, folder).heldout
            manifest = calibrated(manifest, measure(model, heldout, config.data))
        except (FileNotFoundError, ValueError) as error:
            warnings.warn(
                f"confidences of {manifest.title} will be NaN, since its held-out faces, which "
                f"would calibrate them, cannot be read: {error}",
                stacklevel=4,
            )
            return model
        _keep(stored, manifest)
    else:
        manifest = restored
    return CropModel(TorchBackend(network, device), manifest, batch_size)


def _keep(path: Path, manifest: Manifest) -> None:
    """A run folder that cannot be written is calibrated again next time."""
    parts = manifest.model_dump(mode="json", include={"box_offsets", "calibration", "check"})
    try:
        write_listed(path, as_json(parts))
    except OSError:
        return


def _restored(path: Path, manifest: Manifest) -> Manifest | None:
    """None where there is no calibration, or a damaged one, which is made again."""
    try:
        parts = parse_json(path, read_verified(path))
    except (FileNotFoundError, ValueError):
        return None
    whole = manifest.model_dump(mode="json") | parts
    return Manifest.from_json(json.dumps(whole), path)
