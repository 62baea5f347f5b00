"""The weights of a TorchScript export, without running what else is in it."""

import io
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch

from sesame_hpc.checksums import read_verified
from sesame_hpc.inference.exported import CONFIG_FILE
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.inference.torch_backend import network_of
from sesame_hpc.models.prediction import PredictionNet

__all__ = ["is_torchscript", "read_torchscript"]

_RUNS_WHEN_LOADED = b"__setstate__"


def is_torchscript(path: Path) -> bool:
    """Whether this is a TorchScript archive with a model description of `sesame export`."""
    return path.is_file() and is_zipfile(path) and _member(path, f"extra/{CONFIG_FILE}") is not None


def read_torchscript(path: Path) -> tuple[PredictionNet, Manifest]:
    """The network that a file of `sesame export --to torchscript` is of, with its weights.

    Its graph is not run: the weights go into a network of our own.
    Raises ValueError for a broken file, one that is not what `SHA256SUMS` beside it lists, or one
    with code that would run when it is loaded.
    """
    content = read_verified(path)
    config = _member(io.BytesIO(content), f"extra/{CONFIG_FILE}")
    assert config is not None, "asked by is_torchscript"
    manifest = Manifest.from_json(config, path)
    with ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if "/code/" in name and _RUNS_WHEN_LOADED in archive.read(name):
                raise ValueError(f"{path} holds code that runs when it is loaded; it is not loaded")
    try:
        state = torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path} is not a TorchScript model that can be read ({reason})") from None
    return network_of({k: v for k, v in state.items() if k != "_mirror"}, manifest, path), manifest


def _member(path: Path | io.BytesIO, end: str) -> bytes | None:
    """The file of a zip archive whose name, after its first folder, is `end`."""
    try:
        with ZipFile(path) as archive:
            for name in archive.namelist():
                if name.partition("/")[2] == end:
                    return archive.read(name)
    except (BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None
    return None
