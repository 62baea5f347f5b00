"""`loss.extra`: a further term of the landmark loss, a plugin."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from sesame_hpc.config import LossConfig
from sesame_hpc.plugins import Plugin, load_plugin
from sesame_hpc.schemes import Scheme

__all__ = ["ExtraLoss", "LossTerm", "extra_loss", "loss_plugin"]

_KEY = "loss.extra"

ExtraLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""As `LossTerm.__call__`, `loss.extra_weight` included."""


class LossTerm(Protocol):
    """What a plugin of `loss.extra` is: a class whose instances are called once per stack and step.

    Its class is called with `(scheme, settings)`: the landmark scheme, and an instance of the
    class's `Settings`. It has no parameters to learn, no state and no random numbers, and does not
    read values of tensors on the host, which would wait for the device in every step.
    """

    def __init__(self, scheme: Scheme, settings: Any) -> None: ...

    def __call__(self, coordinates: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        """The term, a scalar, differentiable with respect to the coordinates.

        Args:
            coordinates: float32 [B, K, 2], x and y in fractions of the crop side.
            labels: the same of the labels; 0.5 where a point is not labelled.
            weight: float32 [B, K], a factor for each landmark, 0 where it is not labelled and with
                the mean 1 over the data set; None where all are labelled.
        """


def loss_plugin(loss: LossConfig) -> Plugin | None:
    """The plugin of `loss.extra`, if it names one. Errors as of `load_plugin`."""
    return None if loss.extra is None else load_plugin(_KEY, loss.extra, kind="loss")


def extra_loss(loss: LossConfig, scheme: Scheme) -> ExtraLoss | None:
    """The weighted term; None without `loss.extra`.

    Raises ValueError for settings that the plugin does not take, and, when it is called, for a term
    that is not a scalar.
    """
    plugin = loss_plugin(loss)
    if plugin is None:
        return None
    term = plugin.target(scheme, plugin.settings(loss.extra_settings, f"{_KEY}_settings"))

    def weighted(coordinates: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        value = term(coordinates, labels, weight)
        if not isinstance(value, Tensor) or value.ndim:
            what = f"shape {list(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
            raise ValueError(f"{_KEY}: {plugin.path} must return a scalar tensor, got {what}")
        return loss.extra_weight * value

    return weighted
