import pytest
import torch
from torch import nn

from sesame_hpc.training.ema import ModelEMA


def test_average_follows_the_formula_and_takes_buffers_as_they_are() -> None:
    linear, norm = nn.Linear(2, 1), nn.BatchNorm1d(1)
    network = nn.Sequential(linear, norm)
    average, expected = ModelEMA(network, 0.9), linear.bias.item()
    for step in range(5):
        with torch.no_grad():
            linear.bias.fill_(float(step))
            norm.running_mean.fill_(float(step))
        average.update()
        expected = 0.9 * expected + 0.1 * step
    weights = average.weights()
    assert weights["0.bias"].item() == pytest.approx(expected)
    assert float(weights["1.running_mean"]) == 4.0
    assert linear.bias.item() == 4.0


def test_restored_average_goes_on_alike() -> None:
    network = nn.Linear(3, 2)
    first, second = ModelEMA(network, 0.5), ModelEMA(network, 0.5)
    with torch.no_grad():
        network.weight.add_(1.0)
    first.update()
    second.restore([tensor.clone() for tensor in first.state()])
    first.update()
    second.update()
    assert torch.equal(first.weights()["weight"], second.weights()["weight"])
