"""The files of `sesame export`: which of them a folder's model is. Imports no torch."""

from pathlib import Path

from sesame_hpc.extras import has

__all__ = [
    "CONFIG_FILE",
    "IMAGE_FILE",
    "INT8_FILE",
    "ONNX_FILE",
    "TORCHSCRIPT_FILE",
    "WEIGHTS_FILE",
    "find_exported",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
ONNX_FILE = "model.onnx"
IMAGE_FILE = "model.images.onnx"
INT8_FILE = "model.int8.onnx"
TORCHSCRIPT_FILE = "model.torchscript.pt"


def find_exported(path: Path) -> Path:
    """The model's file in a folder of `sesame export`; the folder itself for safetensors.

    safetensors comes first, but without torch only where there is no ONNX file. Other paths are
    returned as they are.
    """
    if path.name in (WEIGHTS_FILE, CONFIG_FILE) and (path.parent / CONFIG_FILE).is_file():
        return path.parent
    if not path.is_dir() or (path / "config.yaml").is_file():
        return path
    whole = (path / WEIGHTS_FILE).is_file() and (path / CONFIG_FILE).is_file()
    if whole and has("torch"):
        return path
    for name in (ONNX_FILE, INT8_FILE) if whole else (ONNX_FILE, TORCHSCRIPT_FILE, INT8_FILE):
        if (path / name).is_file():
            return path / name
    return path
