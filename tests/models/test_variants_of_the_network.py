"""Widths per level, single-convolution blocks, the strided stem, and heat-map marginals."""

import pytest
import torch
from pydantic import ValidationError

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.models.hourglass import StackedHourglass
from sesame_hpc.models.transfer import transfer_backbone

NARROW = ModelConfig(
    stacks=2,
    width=8,
    widths=(8, 12, 16),
    levels=2,
    block="single",
    stem="strided",
    image_size=32,
    map_size=4,
)


@pytest.mark.parametrize("map_size", [4, 8, 16])
def test_the_strided_stem_reaches_every_map_size(map_size):
    config = NARROW.model_copy(update={"map_size": map_size})
    maps = StackedHourglass(config, 5)(torch.rand(2, 3, 32, 32))
    assert [tuple(each.shape) for each in maps] == [(2, 5, map_size, map_size)] * 2


def test_each_level_has_its_own_width():
    state = StackedHourglass(NARROW, 5).state_dict()
    shapes = {
        place: tuple(state[f"stacks.0.hourglass.{place}.conv.weight"].shape[:2])
        for place in ("down", "inner.down", "inner.inner")
    }
    assert shapes == {"down": (12, 8), "inner.down": (16, 12), "inner.inner": (16, 16)}


def test_the_default_network_keeps_its_names_and_shapes():
    network = StackedHourglass(ModelConfig(stacks=1, width=16, levels=1, map_size=64), 5)
    names = set(network.state_dict())
    assert {"stem.block3.conv3.weight", "stacks.0.hourglass.inner.conv2.weight"} <= names


def test_the_backbone_passes_between_stages():
    source, target = ReconstructionNet(NARROW, HeadConfig()), LandmarkNet(NARROW, HeadConfig(), 5)
    transfer_backbone(source.state_dict(), target)
    name = "backbone.stacks.0.hourglass.inner.down.conv.weight"
    assert torch.equal(source.state_dict()[name], target.state_dict()[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (8, 16)}, "must be 5 numbers, one more than levels"),
        ({"width": 16, "widths": (8, 8, 8, 8, 8)}, "the first is width"),
        ({"map_size": 32}, "2 or 4 times map_size"),
        ({"map_size": 128, "stem": "strided", "image_size": 128}, "2, 4 or 8 times map_size"),
    ],
)
def test_sizes_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**{"width": 8} | settings)


def test_only_training_gives_maps():
    network = LandmarkNet(NARROW, HeadConfig(), 5, maps_for_losses=True)
    images = torch.rand(2, 3, 32, 32)
    assert [maps.shape for maps in network(images)] == [(2, 5, 4, 4)] * 2
    assert network.eval()(images).shape == (2, 2, 5, 2)
