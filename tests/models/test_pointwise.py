"""1x1 convolutions as products: what the layers give, in the layout that the kernels want."""

import pytest
import torch
from torch import Tensor, nn

from sesame_hpc.config import ModelConfig
from sesame_hpc.models import hourglass
from sesame_hpc.models.hourglass import StackedHourglass
from sesame_hpc.models.pointwise import features_of_maps, maps_of_features, prefers_products


def last(*shape: int) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("bias", [True, False])
def test_products_are_the_convolution(bias):
    torch.manual_seed(0)
    head, inject = nn.Conv2d(8, 5, 1, bias=bias), nn.Conv2d(5, 8, 1, bias=bias)
    features = last(2, 8, 6, 7)
    maps = maps_of_features(head, features)
    assert maps.is_contiguous()
    torch.testing.assert_close(maps, head(features), atol=1e-6, rtol=1e-6)
    back = features_of_maps(inject, maps)
    assert back.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(back, inject(maps), atol=1e-6, rtol=1e-6)


def test_they_keep_the_dtype_of_autocast():
    head = nn.Conv2d(8, 5, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert maps_of_features(head, last(2, 8, 6, 7)).dtype == torch.bfloat16


def test_a_cpu_uses_the_layers_as_they_are():
    assert not prefers_products(nn.Conv2d(8, 5, 1), last(2, 8, 6, 7))


def test_a_network_of_products_is_the_network_of_layers(monkeypatch):
    torch.manual_seed(0)
    config = ModelConfig(stacks=2, width=16, levels=2, image_size=32, map_size=8)
    network = StackedHourglass(config, 3).double()
    images = last(2, 3, 32, 32).double()

    def maps_and_gradients() -> list[Tensor]:
        network.zero_grad()
        maps = network(images)
        sum(each.square().sum() for each in maps).backward()
        return [*maps, *(each.grad.clone() for each in network.parameters())]

    expected = maps_and_gradients()
    monkeypatch.setattr(hourglass, "prefers_products", lambda conv, features: True)
    found = maps_and_gradients()
    assert all(each.is_contiguous() for each in found[:2])
    for actual, layers in zip(found, expected, strict=True):
        torch.testing.assert_close(actual, layers, rtol=1e-6, atol=1e-9)
