"""An exponential moving average of the weights (EMA), kept beside the training network."""

import torch
from torch import Tensor, nn

__all__ = ["ModelEMA"]


class ModelEMA:
    """average <- decay * average + (1 - decay) * weights, once per optimizer step.

    Buffers (batch-norm statistics, already averages) are those of the network.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._weights: list[Tensor] = list(network.parameters())
        self._decay = decay
        self._average = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        torch._foreach_lerp_(self._average, self._weights, 1.0 - self._decay)

    def state(self) -> list[Tensor]:
        """The averaged weights, for a checkpoint."""
        return self._average

    def restore(self, state: list[Tensor]) -> None:
        for mine, saved in zip(self._average, state, strict=True):
            mine.copy_(saved)

    def weights(self) -> dict[str, Tensor]:
        """The network's state dict with the averaged weights."""
        names = [name for name, _ in self._network.named_parameters()]
        return self._network.state_dict() | dict(zip(names, self._average, strict=True))
