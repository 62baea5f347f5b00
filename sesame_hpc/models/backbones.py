"""Backbones under map heads: the stacked hourglass, or features of another network.

Every one of them takes images [B, 3, S, S] with pixels in [0, 1] and gives maps
[B, map_channels, M, M], a list with one per stack; but for the hourglass that is a list of one.
Weights are named `body.*` and `head.*` there; `transfer` does not copy the head.
"""

from typing import Any, Protocol

from torch import Tensor, nn

from sesame_hpc.config import ModelConfig
from sesame_hpc.config.network import HOURGLASS
from sesame_hpc.models.hourglass import StackedHourglass
from sesame_hpc.models.pointwise import maps_of_features, prefers_products
from sesame_hpc.models.timm_backbone import TimmBackbone
from sesame_hpc.plugins import Plugin, load_plugin

__all__ = ["Backbone", "MapsOfFeatures", "backbone_plugin", "build_backbone"]

_KEY = "model.backbone"


class Backbone(Protocol):
    """What a plugin of `model.backbone` is: a `torch.nn.Module` that is called as a function.

    Its class is called with `(model, settings)`: the `ModelConfig`, and an instance of the class's
    `Settings`. Initial weights come from torch's global generator, which is seeded before. Nothing
    else is random: no dropout, no stochastic depth. Buffers and parameters are in its state dict,
    and it has no other state. On a GPU it is compiled without graph breaks, unless
    `runtime.compile` is none.

    Attributes:
        channels: C, the number of features.
    """

    channels: int

    def __init__(self, model: ModelConfig, settings: Any) -> None: ...

    def __call__(self, images: Tensor) -> Tensor:
        """float [B, 3, S, S], RGB in [0, 1] -> [B, C, M, M].

        S is `model.image_size`, and M is `model.map_size`.
        """


def build_backbone(model: ModelConfig, map_channels: int) -> "StackedHourglass | MapsOfFeatures":
    """The backbone of `model` with heads of so many maps; weights are drawn by torch.

    Raises ValueError for a plugin that is missing, not allowed, or not a backbone, and for a timm
    network that has no features of the resolution.
    """
    if model.backbone == HOURGLASS:
        return StackedHourglass(model, map_channels)
    if model.is_timm:
        return MapsOfFeatures(TimmBackbone(model), model, map_channels)
    plugin = backbone_plugin(model)
    assert plugin is not None
    body = plugin.target(model, plugin.settings(model.backbone_settings, f"{_KEY}_settings"))
    channels = getattr(body, "channels", None)
    if not isinstance(body, nn.Module) or not isinstance(channels, int) or channels < 1:
        raise ValueError(
            f"{_KEY}: {plugin.path} is not a backbone: it must make a torch.nn.Module that has "
            "`channels`, a number of features"
        )
    return MapsOfFeatures(body, model, map_channels)


def backbone_plugin(model: ModelConfig) -> Plugin | None:
    """The plugin that is the backbone; None where it is built in. Errors as of `load_plugin`."""
    if model.backbone == HOURGLASS or model.is_timm:
        return None
    return load_plugin(_KEY, model.backbone)


class MapsOfFeatures(nn.Module):
    """A body that gives features at the resolution of the maps, and a 1x1 convolution as head."""

    def __init__(self, body: nn.Module, model: ModelConfig, map_channels: int) -> None:
        super().__init__()
        channels = body.channels
        assert isinstance(channels, int)
        self.body = body
        self.head = nn.Conv2d(channels, map_channels, 1)
        self._shape = (channels, model.map_size, model.map_size)
        self._name = model.backbone

    @property
    def last_head(self) -> nn.Conv2d:
        """The head."""
        return self.head

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self._features(images)
        if prefers_products(self.head, features):
            return [maps_of_features(self.head, features)]
        return [self.head(features)]

    def without_last_head(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """([], the features of the head)."""
        return [], self._features(images)

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        if features.shape[1:] != self._shape:
            raise ValueError(
                f"{_KEY}: {self._name} gives features of shape {list(features.shape[1:])}; it must "
                f"give {list(self._shape)}: its channels, and model.map_size twice"
            )
        return features
