"""A backbone: strided convolutions down to the resolution of the maps, then plain ones.

model:
  backbone: plain_backbone:PlainBackbone
  backbone_settings: {depth: 3}
"""

from torch import Tensor, nn

from sesame_hpc.config import ModelConfig, Strict


class PlainBackbone(nn.Module):
    """[B, 3, S, S] in [0, 1] -> [B, width, M, M]."""

    class Settings(Strict):
        """Of the backbone."""

        depth: int = 3
        """Number of convolutions at the resolution of the maps."""

    def __init__(self, model: ModelConfig, settings: Settings) -> None:
        super().__init__()
        self.channels = model.width
        halvings = (model.image_size // model.map_size).bit_length() - 1
        layers: list[nn.Module] = []
        channels = 3
        for index in range(halvings + settings.depth):
            stride = 2 if index < halvings else 1
            layers.append(nn.Conv2d(channels, model.width, 3, stride, padding=1, bias=False))
            layers.append(nn.BatchNorm2d(model.width))
            layers.append(nn.ReLU(inplace=True))
            channels = model.width
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(2.0 * images - 1.0)
