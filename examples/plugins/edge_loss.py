"""A term of the landmark loss: the lengths of the lines between landmarks.

loss:
  extra: edge_loss:EdgeLength
  extra_weight: 0.1
  extra_settings: {power: 1}
"""

from typing import Literal

import torch
from torch import Tensor

from sesame_hpc.config import Strict
from sesame_hpc.schemes import Scheme


class EdgeLength:
    """The mean error of the lengths of the scheme's edges, in fractions of the crop side."""

    class Settings(Strict):
        """Of the term."""

        power: Literal[1, 2] = 1
        """Of the error."""

    def __init__(self, scheme: Scheme, settings: Settings) -> None:
        self.first, self.second = (list(ends) for ends in zip(*scheme.edges, strict=True))
        self.power = settings.power

    def __call__(self, coordinates: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        errors = (self._lengths(coordinates) - self._lengths(labels)).abs() ** self.power
        if weight is not None:
            errors = errors * torch.minimum(weight[:, self.first], weight[:, self.second])
        return errors.mean()

    def _lengths(self, points: Tensor) -> Tensor:
        squares = (points[:, self.first] - points[:, self.second]).square().sum(-1)
        return (squares + 1e-12).sqrt()
