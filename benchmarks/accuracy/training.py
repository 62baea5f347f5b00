"""A plain loop for the peers: their loss, our augmentation and faces, a budget of CPU seconds."""

import math
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.accuracy.judged import Find, Image
from benchmarks.accuracy.networks import HighResolutionNet, ResNet18
from sesame_hpc.config import Config
from sesame_hpc.data import geometry
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import TrainLoader
from sesame_hpc.data.pack.memory import cached_in_memory

__all__ = ["finder", "heatmap_points", "train_peer", "wing"]

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]

_SIGMA = 1.5
"""Of the Gaussian heat maps, in cells, as HRNet's facial configurations have it."""


def wing(difference: Tensor, width: float = 0.1, curvature: float = 0.02) -> Tensor:
    """Wing loss (Feng et al., arXiv:1711.06753, Eq. 5), in fractions of the crop; a scalar."""
    size = difference.abs()
    offset = width - width * math.log(1 + width / curvature)
    return torch.where(size < width, width * torch.log1p(size / curvature), size - offset).mean()


def _wing_loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return wing(network(images).float() - labels)


def _heatmap_loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error against Gaussians around the labels."""
    maps = network(images).float()
    side = maps.shape[-1]
    centres = (torch.arange(side) + 0.5) / side
    spread = 2 * (_SIGMA / side) ** 2
    along = [torch.exp(-(centres - labels[..., axis, None]).square() / spread) for axis in (0, 1)]
    target = along[1][..., :, None] * along[0][..., None, :]
    return 100 * (maps - target).square().mean()


def heatmap_points(maps: Tensor) -> Tensor:
    """[B, K, H, W] -> [B, K, 2] in [0, 1]: the mean over 5 x 5 cells around the maximum."""
    side = maps.shape[-1]
    best = maps.flatten(2).argmax(dim=2)
    row, column = best // side, best % side
    centres = torch.arange(side)
    near = ((centres - row[..., None]).abs() <= 2)[..., :, None]
    near = near & ((centres - column[..., None]).abs() <= 2)[..., None, :]
    weight = maps.clamp_min(0) * near + 1e-9 * near
    weight = weight / weight.sum(dim=(2, 3), keepdim=True)
    places = (centres + 0.5) / side
    return torch.stack([weight.sum(2) @ places, weight.sum(3) @ places], dim=2)


PEERS: dict[str, tuple[type[nn.Module], Loss, float]] = {
    "resnet18": (ResNet18, _wing_loss, 1e-3),
    "hrnet": (HighResolutionNet, _heatmap_loss, 4e-3),
}
"""Network, loss, and rate: for the HRNet the better of 1e-3 and 4e-3."""


def train_peer(
    name: str, faces: Annotations, config: Config, cpu_seconds: float, seed: int
) -> tuple[nn.Module, int]:
    """The trained network, and how many samples it saw.

    AdamW with a rate that rises over a tenth of the budget and falls along half a cosine, batches
    of 32, bfloat16 autocast where `runtime.precision` is not fp32, channels-last.
    """
    torch.manual_seed(seed)
    kind, loss_of, rate = PEERS[name]
    network = kind(faces.scheme.num_landmarks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01, fused=True)
    size, data = config.model.image_size, config.data
    loader = TrainLoader(
        cached_in_memory(faces, data, size),
        data,
        size,
        batch_size=32,
        seed=seed,
        stage=name,
        device=torch.device("cpu"),
    )
    start, epoch, samples = time.process_time(), 0, 0
    while True:
        for batch in loader.epoch(epoch):
            done = (time.process_time() - start) / cpu_seconds
            if done >= 1:
                return network.eval(), samples
            fall = 0.5 * (1 + math.cos(math.pi * max(0.0, done - 0.1) / 0.9))
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (done + 1e-3) / 0.1) * fall
            bf16 = config.runtime.precision != "fp32"
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = loss_of(network, batch.images, batch.landmarks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            samples += len(batch.images)
        epoch += 1


def finder(network: nn.Module, config: Config) -> Find:
    """How a trained peer is used: one crop as training's without augmentation, in float32."""
    size, scale = config.model.image_size, config.data.box.scale

    @torch.inference_mode()
    def find(image: Image, box: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = geometry.crop_matrix(box[None], size, scale=scale)
        centred = matrix[0].copy()
        centred[:, 2] += centred[:, :2].sum(axis=1) / 2 - 0.5
        zoom = math.sqrt(abs(np.linalg.det(centred[:, :2])))
        if zoom < 0.5:
            image = np.asarray(cv2.blur(image, (int(1 / zoom), int(1 / zoom))), np.uint8)
        crop = cv2.warpAffine(image, centred, (size, size), flags=cv2.INTER_LINEAR)
        images = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        output = network(images.contiguous(memory_format=torch.channels_last))
        points = heatmap_points(output) if output.dim() == 4 else output
        pixels = points[0].double().numpy() * size
        return geometry.apply(geometry.invert(matrix), pixels[None])[0]

    return find
