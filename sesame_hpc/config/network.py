"""Settings of the network, its heads and its losses."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from sesame_hpc.config.fields import (
    NotNegative,
    PluginName,
    PluginSettings,
    Positive,
    Strict,
    Width,
    refuse_misspelling,
)

__all__ = ["HOURGLASS", "TIMM", "HeadConfig", "LossConfig", "ModelConfig"]


HOURGLASS, TIMM = "hourglass", "timm:"


class ModelConfig(Strict):
    """The network below the heads: the stacked hourglass, or another backbone.

    Of another one, `width`, `image_size` and `map_size` apply, and the other keys do not.
    """

    backbone: PluginName = HOURGLASS
    """hourglass: the paper's. timm:NAME, such as timm:resnet18: a network of the timm library,
    whose features a top-down neck of `width` channels brings to the resolution of the maps.
    package.module:Name or the name of an installed entry point: a plugin."""
    backbone_settings: PluginSettings = Field(default_factory=dict)
    """The settings of a backbone that is a plugin."""
    weights: str | None = None
    """What a timm backbone starts from: a safetensors file of timm's weights, or pretrained, to
    download those that timm names. null: random weights."""
    stacks: Literal[1, 2, 4, 8] = 4
    """Number of hourglasses, one after the other."""
    width: Width = 256
    """Number of channels at the resolution of the maps."""
    widths: tuple[Width, ...] | None = None
    """Where they differ, the number of channels at each resolution from that of the maps down:
    `levels` + 1 of them. null: `width` at every resolution."""
    block: Literal["bottleneck", "single"] = "bottleneck"
    """bottleneck: the paper's. single: one pre-activation 3x3 convolution with a shortcut, which
    CPUs compute at twice the rate per operation."""
    stem: Literal["paper", "strided"] = "paper"
    """paper: a 7x7 convolution and three bottlenecks. strided: 3x3 convolutions of stride 2
    only."""
    levels: Annotated[int, Field(ge=1, le=6)] = 4
    """How often an hourglass halves the resolution."""
    image_size: PositiveInt = 256
    """Side of the crops in pixels: 2 or 4 times `map_size`, or 8 times with the strided stem."""
    map_size: PositiveInt = 64
    """Side of the maps in cells: a multiple of 2 ** `levels`."""

    @model_validator(mode="after")
    def _sizes(self) -> "ModelConfig":
        if self.backbone != HOURGLASS:
            return self._other_sizes()
        factors = (2, 4) if self.stem == "paper" else (2, 4, 8)
        if self.image_size not in [factor * self.map_size for factor in factors]:
            raise ValueError(
                f"image_size ({self.image_size}) must be {', '.join(map(str, factors[:-1]))} or "
                f"{factors[-1]} times map_size ({self.map_size}) with the stem {self.stem}"
            )
        if len(self.channels) != self.levels + 1 or self.channels[0] != self.width:
            raise ValueError(
                f"widths ({list(self.channels)}) must be {self.levels + 1} numbers, one more than "
                f"levels ({self.levels}), of which the first is width ({self.width})"
            )
        if self.map_size % 2**self.levels:
            raise ValueError(
                f"map_size ({self.map_size}) must be a multiple of 2 ** levels ({2**self.levels})"
            )
        return self

    def _other_sizes(self) -> "ModelConfig":
        if self.image_size % self.map_size:
            raise ValueError(
                f"image_size ({self.image_size}) must be a multiple of map_size ({self.map_size})"
            )
        return self

    @model_validator(mode="after")
    def _applies(self) -> "ModelConfig":
        refuse_misspelling(self.backbone, (HOURGLASS,), "model.backbone")
        if self.weights is not None and not self.is_timm:
            raise ValueError(
                f"weights ({self.weights}) are those of a timm backbone, but backbone is "
                f"{self.backbone}: use stages.preliminary.init_from"
            )
        if self.backbone_settings and (self.is_timm or self.backbone == HOURGLASS):
            raise ValueError(
                f"backbone_settings ({', '.join(self.backbone_settings)}) are those of a plugin, "
                f"but backbone is {self.backbone}"
            )
        return self

    @property
    def is_timm(self) -> bool:
        """Whether the backbone is one of timm."""
        return self.backbone.startswith(TIMM)

    @property
    def channels(self) -> tuple[int, ...]:
        """The number of channels at each resolution, from the maps' down; `levels` + 1 of them."""
        return self.widths or (self.width,) * (self.levels + 1)


class HeadConfig(Strict):
    """How maps become coordinates, and images."""

    impl: Literal["conv", "fused"] = "conv"
    """fused: compute the last stack's coordinates from its features without writing its maps, the
    same function and weights as conv with less memory."""
    beta: Positive = 1.0
    """Factor of the maps before the softmax: its inverse temperature."""
    supervision: Literal["all", "last_only"] = "all"
    """Which stacks have a landmark loss: all, with equal weights, or last_only."""
    reconstruction_upscale: Literal[1, 2, 4] = 1
    """Side of the reconstruction as a multiple of `model.map_size`."""


class LossConfig(Strict):
    """What the coordinate stages minimise: a penalty of the coordinates' errors, of weight 1, and
    terms on the heat maps."""

    penalty: Literal["l1", "smooth_l1", "wing"] = "l1"
    """Of the error of each coordinate. l1 is the paper's; smooth_l1 is quadratic below `width`;
    wing (Feng et al., CVPR 2018) is logarithmic there."""
    width: Positive = 0.05
    """Where the penalty smooth_l1 or wing becomes linear, as a fraction of the crop side."""
    curvature: Positive = 0.01
    """Of the penalty wing: the smaller, the more a small error counts; as a fraction of the crop
    side."""
    heatmap: NotNegative = 0.0
    """Weight of the cross-entropy between the heat map's marginals along x and y and Gaussians
    around the label. 0, as in the paper: no such term."""
    heatmap_sigma: Positive = 0.04
    """Standard deviation of those Gaussians, as a fraction of the crop side."""
    star: NotNegative = 0.0
    """Weight of the STAR loss (Zhou et al., CVPR 2023): the penalty of the errors along the
    principal axes of each heat map, over its extent there. 0, as in the paper: no such term."""
    star_restriction: NotNegative = 1.0
    """Weight of the heat maps' variances within the STAR loss."""
    extra: PluginName | None = None
    """A further term, a plugin: package.module:Name, or the name of an installed entry point.
    null: none."""
    extra_weight: NotNegative = 1.0
    """Weight of the further term."""
    extra_settings: PluginSettings = Field(default_factory=dict)
    """Its settings."""

    @property
    def terms(self) -> tuple[str, ...]:
        """What the loss is the sum of: the penalty, and of heatmap, star and extra, what counts."""
        weights = {"heatmap": self.heatmap, "star": self.star}
        weights["extra"] = self.extra_weight if self.extra else 0.0
        return (self.penalty, *(name for name, weight in weights.items() if weight))
