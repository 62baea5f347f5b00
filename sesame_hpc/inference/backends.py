"""What runs the network: onnxruntime, or PyTorch (in `torch_backend`, imported where needed)."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.choices import Device
from sesame_hpc.inference.manifest import Manifest

__all__ = ["IMAGE_METADATA_KEY", "METADATA_KEY", "Backend", "OnnxBackend"]

METADATA_KEY = "sesame"
IMAGE_METADATA_KEY = "sesame_images"
"""That of models that take whole images, which a `Landmarker` does not need."""

Float = NDArray[np.float32]


class Backend(Protocol):
    """float32 [B, 3, S, S] in [0, 1] -> points [B, K, 2] and spread [B, K] of the crop side."""

    def __call__(self, crops: Float) -> tuple[Float, Float]: ...


class OnnxBackend:
    """An exported `.onnx` file under onnxruntime; imports no torch.

    It takes the cores that the process may use, or `OMP_NUM_THREADS` of them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: onnxruntime cannot read the file, the file is not one of `sesame export`, or
            the device is not there.
    """

    def __init__(self, path: Path, device: Device = "auto") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist")
        import onnxruntime

        providers = _providers(onnxruntime.get_available_providers(), device)
        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{path} is not an ONNX model that runs here ({reason})") from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        if IMAGE_METADATA_KEY in metadata:
            raise ValueError(
                f"{path} takes whole images and boxes: run it with onnxruntime itself, and give "
                "Landmarker the model.onnx beside it"
            )
        if METADATA_KEY not in metadata:
            raise ValueError(f"{path} was not written by sesame export: it names no scheme")
        self.manifest = Manifest.from_json(metadata[METADATA_KEY], path)

    def __call__(self, crops: Float) -> tuple[Float, Float]:
        points, spread = self._session.run(["points", "spread"], {"images": crops})
        return points, spread


def _threads() -> int:
    """How many threads onnxruntime starts; 0: as many as the machine has cores.

    By itself it heeds neither the variable nor the cores that SLURM or a container leaves.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    if not hasattr(os, "sched_getaffinity"):  # macOS and Windows
        return 0
    usable = len(os.sched_getaffinity(0))
    return usable if usable < (os.cpu_count() or 1) else 0


def _providers(available: list[str], device: Device) -> list[str]:
    cuda = "CUDAExecutionProvider" in available
    if device == "cuda" and not cuda:
        raise ValueError("device cuda: this onnxruntime has no CUDA; take cpu, or onnxruntime-gpu")
    wanted = ["CUDAExecutionProvider"] if cuda and device != "cpu" else []
    return [*wanted, "CPUExecutionProvider"]
