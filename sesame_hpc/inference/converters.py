"""The network in other forms: ONNX, ONNX of 8 bits, TorchScript."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch

from sesame_hpc.extras import needed_for
from sesame_hpc.inference.backends import IMAGE_METADATA_KEY, METADATA_KEY
from sesame_hpc.inference.image_model import ImageNet
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.models.prediction import PredictionNet

__all__ = ["describe", "quantise", "write_image_onnx", "write_onnx", "write_torchscript"]

_OPSET = 18


def write_onnx(network: PredictionNet, manifest: Manifest, path: Path) -> None:
    """images [batch, 3, S, S] -> points [batch, K, 2], spread [batch, K]; batch is dynamic.

    The manifest goes into the file's metadata. Raises MissingPackage without the extra.
    """
    _onnx()
    with _quiet():
        torch.onnx.export(
            network,
            (_example(manifest),),
            str(path),
            input_names=["images"],
            output_names=["points", "spread"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
        )
    describe(path, manifest)


def write_image_onnx(network: PredictionNet, manifest: Manifest, path: Path) -> None:
    """`ImageNet` as ONNX; the numbers of images and of boxes, and the sides, are dynamic.

    The manifest goes into the file's metadata. Raises ValueError where packages are missing.
    """
    _onnx()
    count, faces, height, width = map(torch.export.Dim, ("images", "faces", "height", "width"))
    names = ["points", "spread"]
    names += ["confidence", "expected_error"] if manifest.calibration else []
    images = torch.zeros(2, 40, 48, 3, dtype=torch.uint8)
    boxes = torch.tensor([4.0, 4.0, 36.0, 30.0]).expand(2, 3, 4).contiguous()
    with _quiet():
        torch.onnx.export(
            ImageNet(network, manifest).eval(),
            (images, boxes),
            str(path),
            input_names=["images", "boxes"],
            output_names=names,
            dynamic_shapes={
                "images": {0: count, 1: height, 2: width},
                "boxes": {0: count, 1: faces},
            },
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
        )
    describe(path, manifest, IMAGE_METADATA_KEY)


def quantise(source: Path, path: Path, manifest: Manifest) -> None:
    """Dynamic quantisation: 8-bit weights, activations rounded as they come."""
    _onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(source, path, weight_type=QuantType.QUInt8, per_channel=False)
    describe(path, manifest)


def write_torchscript(network: PredictionNet, manifest: Manifest, path: Path) -> None:
    """A traced module with the same signature; the manifest is its extra file `config.json`."""
    with _quiet(), torch.inference_mode(False), torch.no_grad():
        traced = torch.jit.trace(network, _example(manifest))
        torch.jit.save(traced, str(path), _extra_files={"config.json": manifest.to_json()})


def _example(manifest: Manifest) -> torch.Tensor:
    size = manifest.model.image_size
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def describe(path: Path, manifest: Manifest, key: str = METADATA_KEY) -> None:
    """Put the manifest into the metadata of an ONNX file, in place of what was there."""
    onnx = _onnx()
    model = onnx.load(path)
    del model.metadata_props[:]
    model.metadata_props.add(key=key, value=manifest.model_dump_json())
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _onnx() -> ModuleType:
    with needed_for("export to ONNX"):
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    onnxruntime.set_default_logger_severity(3)
    return onnx


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress notes and deprecations of the exporters off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
