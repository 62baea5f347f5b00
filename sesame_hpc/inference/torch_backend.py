"""The network in PyTorch, from safetensors."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sesame_hpc.choices import Device
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.models.prediction import PredictionNet
from sesame_hpc.models.weights import load_weights

__all__ = ["TorchBackend", "load_network", "network_of"]

Float = NDArray[np.float32]


def load_network(weights: Path, manifest: Manifest) -> PredictionNet:
    """The network of a manifest with a file's weights, in evaluation mode, on the CPU.

    Raises FileNotFoundError for a missing file, ValueError for one of another kind or network.
    """
    return network_of(load_weights(weights), manifest, weights)


def network_of(state: dict[str, Tensor], manifest: Manifest, source: Path) -> PredictionNet:
    """The same of weights that were read; a ValueError names their `source`."""
    mirror = manifest.scheme.mirror if manifest.flip else None
    network = PredictionNet(
        manifest.model, manifest.head.beta, manifest.scheme.num_landmarks, mirror
    )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        raise ValueError(
            f"{source} does not fit the network of {manifest.title}: {' '.join(first).strip()}"
        ) from None
    return network.eval().requires_grad_(False)


class TorchBackend:
    """A `Backend` on the CPU or a GPU. `device` auto takes the GPU where there is one."""

    def __init__(self, network: PredictionNet, device: Device = "auto") -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device cuda: there is no CUDA device here; take cpu or auto")
        cuda = device != "cpu" and torch.cuda.is_available()
        self._device = torch.device("cuda" if cuda else "cpu")
        self._network = network.to(self._device)

    @torch.inference_mode()
    def __call__(self, crops: Float) -> tuple[Float, Float]:
        images = torch.from_numpy(crops).to(self._device)
        points, spread = self._network(images.contiguous(memory_format=torch.channels_last))
        return points.cpu().numpy(), spread.cpu().numpy()
