"""State dicts as safetensors files, which hold numbers and cannot hold code."""

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

__all__ = ["load_weights", "save_weights"]


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, atomically."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(
        save({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    )
    os.replace(partial, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote; nothing in the file is ever executed.

    Raises FileNotFoundError naming the path, ValueError for a file of another kind.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: has this stage finished?")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}); no other kind is read"
        ) from None
