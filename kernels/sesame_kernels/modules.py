"""The ops as modules."""

from torch import Tensor, nn

from sesame_kernels.functional import masked_mse, soft_argmax

__all__ = ["MaskedMSELoss", "SoftArgmax"]


class SoftArgmax(nn.Module):
    """`soft_argmax` with a fixed inverse temperature: [B, K, H, W] -> [B, K, 2]."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, logits: Tensor) -> Tensor:
        return soft_argmax(logits, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class MaskedMSELoss(nn.Module):
    """`masked_mse` with a fixed weight outside the mask: (prediction, target, mask) -> scalar."""

    def __init__(self, outside_weight: float = 0.01) -> None:
        super().__init__()
        self.outside_weight = outside_weight

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return masked_mse(prediction, target, mask, self.outside_weight)

    def extra_repr(self) -> str:
        return f"outside_weight={self.outside_weight}"
