"""State dicts as safetensors files, which contain tensors and no code."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sesame_hpc.checksums import read_verified
from sesame_hpc.files import write_bytes_atomic

__all__ = ["load_weights", "save_weights"]


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, atomically."""
    write_bytes_atomic(
        path, save({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    )


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote; nothing in the file is ever executed.

    Raises FileNotFoundError naming the path, ValueError for a file of another kind, or one
    that is not what its checksum in SHA256SUMS says.
    """
    try:
        content = read_verified(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist: has this stage finished?") from None
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file ({error}); no other kind is read"
        ) from None
