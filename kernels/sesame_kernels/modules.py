"""The ops as modules."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sesame_kernels.checks import require_number
from sesame_kernels.functional import linear_soft_argmax, masked_mse, soft_argmax
from sesame_kernels.losses import soft_argmax_loss, star_loss
from sesame_kernels.penalties import Penalty, require_penalty

__all__ = ["LinearSoftArgmax", "MaskedMSELoss", "SoftArgmax", "SoftArgmaxLoss", "StarLoss"]


class SoftArgmax(nn.Module):
    """`soft_argmax` with a fixed inverse temperature: [B, K, H, W] -> [B, K, 2].

    With `second_moments` -> ([B, K, 2], [B, K, 3]).
    """

    def __init__(self, beta: float = 1.0, *, second_moments: bool = False) -> None:
        super().__init__()
        require_number("beta", beta)
        self.beta = beta
        self.second_moments = second_moments

    def forward(self, logits: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.second_moments:
            return soft_argmax(logits, self.beta, second_moments=True)
        return soft_argmax(logits, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, second_moments={self.second_moments}"


class SoftArgmaxLoss(nn.Module):
    """`soft_argmax_loss`: (logits, target, weight or None) -> (loss, coordinates).

    The logits may be a list, of the stacks of a network.
    """

    def __init__(self, beta: float = 1.0, penalty: Penalty | None = None) -> None:
        super().__init__()
        require_number("beta", beta)
        self.beta = beta
        self.penalty = Penalty() if penalty is None else penalty
        require_penalty(self.penalty)

    def forward(
        self, logits: Tensor | Sequence[Tensor], target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return soft_argmax_loss(logits, target, weight, self.beta, self.penalty)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, penalty={self.penalty}"


class StarLoss(nn.Module):
    """`star_loss` of maps: (logits [B, K, H, W], target, weight or None) -> (loss, coordinates).

    `penalty`, `restriction` and `floor` as of `star_loss`. The coordinates have a gradient.
    """

    def __init__(
        self,
        beta: float = 1.0,
        penalty: Penalty | None = None,
        restriction: float = 1.0,
        floor: float = 1e-5,
    ) -> None:
        super().__init__()
        require_number("beta", beta)
        self.beta = beta
        self.penalty = Penalty() if penalty is None else penalty
        require_penalty(self.penalty)
        require_number("restriction", restriction, least=0.0)
        require_number("floor", floor)
        self.restriction = restriction
        self.floor = floor

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        coordinates, moments = soft_argmax(logits, self.beta, second_moments=True)
        settings = (self.penalty, self.restriction, self.floor)
        return star_loss(coordinates, moments, target, weight, *settings), coordinates

    def extra_repr(self) -> str:
        return (
            f"beta={self.beta}, penalty={self.penalty}, restriction={self.restriction}, "
            f"floor={self.floor}"
        )


class LinearSoftArgmax(nn.Module):
    """`linear_soft_argmax` with its weight: features [B, channels, H, W] -> [B, landmarks, 2].

    `weight` is [landmarks, channels, 1, 1] and initialised as that of `nn.Conv2d`, whose weight
    can be loaded here.
    """

    def __init__(self, channels: int, landmarks: int, beta: float = 1.0) -> None:
        super().__init__()
        require_number("beta", beta)
        self.beta = beta
        if min(channels, landmarks) < 1:
            raise ValueError(
                f"channels and landmarks must be at least 1, got {channels} and {landmarks}"
            )
        self.weight = nn.Parameter(torch.empty(landmarks, channels, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, features: Tensor) -> Tensor:
        return linear_soft_argmax(features, self.weight, self.beta)

    def extra_repr(self) -> str:
        landmarks, channels = self.weight.shape[:2]
        return f"{channels}, {landmarks}, beta={self.beta}"


class MaskedMSELoss(nn.Module):
    """`masked_mse` with a fixed weight outside the mask: (prediction, target, mask) -> scalar."""

    def __init__(self, outside_weight: float = 0.01) -> None:
        super().__init__()
        require_number("outside_weight", outside_weight, least=0.0)
        self.outside_weight = outside_weight

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return masked_mse(prediction, target, mask, self.outside_weight)

    def extra_repr(self) -> str:
        return f"outside_weight={self.outside_weight}"
