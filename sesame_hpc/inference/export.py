"""`export_run`: a run's network as a model to use elsewhere, checked before it is there."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sesame_hpc.checksums import add_sums, file_digest, forget_sums
from sesame_hpc.choices import ExportFormat
from sesame_hpc.config import Config, DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.files import replacing, write_text_atomic
from sesame_hpc.inference.backends import OnnxBackend
from sesame_hpc.inference.card import note_export, refuse_mixture, write_card
from sesame_hpc.inference.converters import (
    describe,
    quantise,
    write_image_onnx,
    write_onnx,
    write_torchscript,
)
from sesame_hpc.inference.crop_model import CropModel
from sesame_hpc.inference.exported import (
    CONFIG_FILE,
    IMAGE_FILE,
    INT8_FILE,
    ONNX_FILE,
    TORCHSCRIPT_FILE,
    WEIGHTS_FILE,
)
from sesame_hpc.inference.heldout import Measured, face_crops, measure, predict_faces
from sesame_hpc.inference.image_difference import MOST_DIFFERENCE, image_difference
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.loading import calibrated, load_run
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.inference.torch_backend import TorchBackend, load_network
from sesame_hpc.inference.variant import Variant
from sesame_hpc.models.prediction import PredictionNet
from sesame_hpc.models.weights import save_weights
from sesame_hpc.printable import say
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder

__all__ = ["export_run"]

Crops = NDArray[np.float32]
Outputs = tuple[NDArray[Any], NDArray[Any]]
Progress = Callable[[str, int, int | None], None]

_MOST_ERROR = 1e-3
_MOST_ROUNDING = 2.0
_CHECKED_FACES = 256
_AT_ONCE = 32
_DEFAULT = Variant()


@dataclass(frozen=True)
class _Job:
    """What is exported, and the crops [N, 3, S, S] that it is checked on."""

    manifest: Manifest
    network: PredictionNet
    crops: Crops
    heldout: Annotations | None
    data: DataConfig
    out: Path
    progress: Progress

    def outputs(self, run: Callable[[Crops], Outputs], what: str) -> Outputs:
        parts = []
        for done in range(0, len(self.crops), _AT_ONCE):
            self.progress(f"checking {what}", done, len(self.crops))
            parts.append(run(self.crops[done : done + _AT_ONCE]))
        return np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts])

    def check(self, run: Callable[[Crops], Outputs], what: str) -> dict[str, Any]:
        """Figures of `run` compared with PyTorch. Raises ValueError above 1e-3 crop pixels.

        Sharp maps of a large network may amplify the rounding of fp32 itself beyond that: then
        `run` must be about as near to PyTorch in float64 as PyTorch in fp32 is.
        """
        points, spread = self.outputs(run, what)
        expected, expected_spread = self.outputs(TorchBackend(self.network, "cpu"), what)
        worst = self._distance(points, expected)
        source = "faces" if self.heldout is not None else "random crops"
        found = {
            "largest_error_px": worst,
            "largest_spread_error": float(np.abs(spread - expected_spread).max()),
            "checked_on": f"{len(points)} {source}",
        }
        say(
            f"{what}: largest coordinate error {worst:.2e} px of the crop on {len(points)} {source}"
        )
        if worst <= _MOST_ERROR:
            return found
        exact, _ = self.outputs(self._in_float64, what)
        rounding, its = self._distance(expected, exact), self._distance(points, exact)
        say(f"{what}: against float64 {its:.2e} px, PyTorch itself {rounding:.2e} px")
        if not its <= _MOST_ROUNDING * rounding:
            raise ValueError(
                f"{what} differs from PyTorch by {worst:.2e} px of the crop; at most "
                f"{_MOST_ERROR:g} is right, so nothing was written"
            )
        return found | {"largest_error_px_float64": its, "pytorch_error_px_float64": rounding}

    def _distance(self, points: NDArray[Any], others: NDArray[Any]) -> float:
        return float(np.abs(points - others).max()) * self.manifest.model.image_size

    def _in_float64(self, crops: Crops) -> Outputs:
        network = copy.deepcopy(self.network).double()
        with torch.inference_mode():
            points, spread = network(torch.from_numpy(crops).double())
        return points.numpy(), spread.numpy()

    def note(self, name: str, found: dict[str, Any]) -> None:
        note_export(self.out, name, {"of": self.manifest.title, **found})


_WRITTEN = {
    "safetensors": (WEIGHTS_FILE, CONFIG_FILE),
    "onnx": (ONNX_FILE, INT8_FILE, IMAGE_FILE),
    "torchscript": (TORCHSCRIPT_FILE,),
}


def export_run(
    run: Path,
    to: ExportFormat,
    out: Path | None = None,
    *,
    variant: Variant = _DEFAULT,
    int8: bool = False,
    images: bool = False,
    data: Path | None = None,
    licence: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Path]:
    """Write one of the run's networks in the form `to` below `out`, with a model card.

    safetensors: `model.safetensors` and `config.json`; onnx: `model.onnx`, with `int8` also
    `model.int8.onnx`, with `images` `model.images.onnx` (see `image_model`); torchscript:
    `model.torchscript.pt`. Every form is loaded again and held against PyTorch on up to 256 faces
    of the run's data (random crops where `data`, or the run's own folder, is not there), that of
    whole images against `Landmarker` on images of noise; no ONNX or TorchScript file is left that
    differs. `out` None is a folder in the run for each variant. `licence` is stated in the card.
    `progress` is called with what is being done, how much of it is done, and how much there is, if
    known. Returns the files.

    Raises FileNotFoundError for a folder without this stage, ValueError for weights that it does
    not have, a folder that holds exports of another network, a failed check, a missing package,
    `int8` or `images` with another form, or `int8` without the held-out faces.
    """
    if int8 and to != "onnx":
        raise ValueError(f"--int8 goes with --to onnx, not {to}")
    if images and to != "onnx":
        raise ValueError(f"--images goes with --to onnx, not {to}")
    folder = RunFolder(run)
    out = out or variant.export_folder(folder)
    progress("reading the run", 0, None)
    model = load_run(folder, "cpu", variant, data=data)
    manifest = model.manifest
    refuse_mixture(out, manifest)
    config = run_config(folder, data)
    crops, heldout = _crops_to_check(folder, config, must=data is not None)
    if int8 and heldout is None:
        raise ValueError("--int8 is measured on the run's held-out faces: say --data FOLDER")
    network = load_network(variant.weights_file(folder), manifest)
    out.mkdir(parents=True, exist_ok=True)
    job = _Job(manifest, network, crops, heldout, config.data, out, progress)
    forget_sums(out, _WRITTEN[to])
    progress(f"writing {to}", 0, None)
    written = {"safetensors": _safetensors, "onnx": _onnx, "torchscript": _torchscript}[to](job)
    if int8:
        written += _int8(job)
    if images:
        written += _images(job)
    tables = variant.figures(folder)
    if heldout is not None and not tables:
        progress("evaluating the held-out faces", 0, None)
        points, _, faces = predict_faces(model, heldout, config.data)
        tables = {"heldout": figures(points, faces).to_json()}
    card = write_card(out, config.data, tables, manifest, licence)
    add_sums(out, {path.name: file_digest(path) for path in written})
    for path in [*written, card]:
        say(f"  {path}  {path.stat().st_size / 2**20:.1f} MiB")
    return [*written, card]


def _safetensors(job: _Job) -> list[Path]:
    weights, config = job.out / WEIGHTS_FILE, job.out / CONFIG_FILE
    save_weights(weights, job.network.state_dict())
    write_text_atomic(config, job.manifest.to_json())
    restored = load_network(weights, Manifest.from_json(config.read_bytes(), config))
    job.note(weights.name, job.check(TorchBackend(restored, "cpu"), weights.name))
    return [weights, config]


def _onnx(job: _Job) -> list[Path]:
    path = job.out / ONNX_FILE
    with replacing(path) as partial:
        write_onnx(job.network, job.manifest, partial)
        job.note(path.name, job.check(OnnxBackend(partial, "cpu"), path.name))
    return [path]


def _images(job: _Job) -> list[Path]:
    """Checked against a `Landmarker` on boxes of many kinds."""
    path = job.out / IMAGE_FILE
    job.progress(f"writing {path.name}", 0, None)
    with replacing(path) as partial:
        write_image_onnx(job.network, job.manifest, partial)
        model = CropModel(TorchBackend(job.network, "cpu"), job.manifest)
        found = image_difference(partial, Landmarker(model))
        say(f"{path.name}: {found}")
        if not found.worst <= MOST_DIFFERENCE:
            raise ValueError(
                f"{path.name} differs from the Landmarker by {found.worst:.2e} px of the crop; at "
                f"most {MOST_DIFFERENCE:g} is right, so nothing was written"
            )
        job.note(path.name, found.to_json())
    return [path]


def _torchscript(job: _Job) -> list[Path]:
    path = job.out / TORCHSCRIPT_FILE
    with replacing(path) as partial:
        write_torchscript(job.network, job.manifest, partial)
        module = torch.jit.load(str(partial))

        def run(crops: Crops) -> Outputs:
            with torch.inference_mode():
                points, spread = module(torch.from_numpy(crops))
            return points.numpy(), spread.numpy()

        job.note(path.name, job.check(run, path.name))
    return [path]


def _int8(job: _Job) -> list[Path]:
    """Quantised weights and activations; its price is measured on the held-out faces.

    Its confidence is calibrated on its own spreads and errors.
    """
    assert job.heldout is not None
    path = job.out / INT8_FILE
    job.progress("quantising and measuring", 0, None)
    with replacing(path) as partial:
        quantise(job.out / ONNX_FILE, partial, job.manifest)
        before, after = (
            measure(CropModel(backend, job.manifest), job.heldout, job.data)
            for backend in (OnnxBackend(job.out / ONNX_FILE, "cpu"), OnnxBackend(partial, "cpu"))
        )
        if job.manifest.calibration:
            describe(partial, calibrated(job.manifest, after))
    nme = _nme(after)
    cost = nme - _nme(before)
    faces = f"{len(after[2])} held-out faces"
    say(f"{path.name}: NME {nme:.3f} % on {faces}, {cost:+.3f} against fp32")
    found = {"nme": nme, "nme_against_fp32": cost, "checked_on": faces}
    job.note(path.name, found)
    return [path]


def _nme(measured: Measured) -> float:
    return float(mean_known(mean_known(measured[1], 1), 0))


def _crops_to_check(
    folder: RunFolder, config: Config, must: bool
) -> tuple[Crops, Annotations | None]:
    """Crops of held-out faces, then of training faces; or, unless it `must`, random ones, None."""
    size = config.model.image_size
    try:
        faces = read_faces(config, folder)
        every = (face_crops(part, config.data, size) for part in (faces.heldout, faces.train))
        crops = [crop for _, crop, _ in islice(chain.from_iterable(every), _CHECKED_FACES)]
    except (FileNotFoundError, ValueError) as error:
        if must:
            raise
        say(f"checked on random crops, since the run's faces cannot be read: {error}")
        noise = np.random.default_rng(0).random((_AT_ONCE, 3, size, size), dtype=np.float32)
        return noise, None
    return np.stack(crops), faces.heldout
