"""The STAR loss of coordinates and covariances: few bytes, so that launches are what costs."""

from collections.abc import Iterator

import torch
from sesame_kernels import star_loss
from torch import Tensor

from benchmarks.kernels.case import Case
from benchmarks.kernels.peers import compiled

__all__ = ["cases", "composed", "eager", "inputs", "ours"]


def ours(coordinates: Tensor, moments: Tensor, target: Tensor) -> Tensor:
    return star_loss(coordinates, moments, target)


def eager(coordinates: Tensor, moments: Tensor, target: Tensor) -> Tensor:
    """With `torch.linalg.eigh`, as published code has it, and its eigenvectors as constants."""
    xx, yy, xy = moments.unbind(-1)
    matrix = torch.stack((xx, xy, xy, yy), -1).unflatten(-1, (2, 2))
    vectors = torch.linalg.eigh(matrix.detach()).eigenvectors.mT
    return _along(coordinates, matrix, target, vectors)


def composed(coordinates: Tensor, moments: Tensor, target: Tensor) -> Tensor:
    """With the angle of the axes in closed form."""
    xx, yy, xy = moments.detach().unbind(-1)
    angle = torch.atan2(2 * xy, xx - yy) / 2
    cosine, sine = angle.cos(), angle.sin()
    vectors = torch.stack((cosine, sine, -sine, cosine), -1).unflatten(-1, (2, 2))
    xx, yy, xy = moments.unbind(-1)
    matrix = torch.stack((xx, xy, xy, yy), -1).unflatten(-1, (2, 2))
    return _along(coordinates, matrix, target, vectors)


def _along(coordinates: Tensor, matrix: Tensor, target: Tensor, vectors: Tensor) -> Tensor:
    values = ((vectors @ matrix) * vectors).sum(-1)
    along = (vectors * (coordinates - target)[..., None, :]).sum(-1).abs()
    return (along / (values + 1e-5).sqrt() + values).sum(-1).mean()


def inputs(batch: int, maps: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates, covariances and target."""
    coordinates, target = torch.rand(2, batch, maps, 2, device=device)
    xx, yy, share = torch.rand(3, batch, maps, device=device) + 0.01
    moments = torch.stack((xx, yy, (share - 0.5) * (xx * yy).sqrt()), -1)
    return coordinates, moments, target


def cases(device: torch.device) -> Iterator[Case]:
    for batch in (32, 1024):
        coordinates, moments, target = inputs(batch, 98, device)
        moved = coordinates.nbytes + moments.nbytes
        yield Case(
            "star_loss",
            f"{batch}x98",
            (coordinates, moments, target),
            {"ours": ours, "eager": eager, "closed form": composed} | compiled(composed, device),
            forward_bytes=2 * moved + target.nbytes,
            backward_bytes=2 * moved,
            trained=2,
            equal=("eager", "closed form"),
        )
