"""The network for use: the same coordinates as the trained one, and the maps' spread."""

import pytest
import torch
from sesame_kernels import soft_argmax

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.models.prediction import PredictionNet, mean_and_spread

TINY = ModelConfig(stacks=2, width=8, levels=2, image_size=32, map_size=8)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("shape", [(2, 5, 8, 8), (1, 3, 6, 11)])
def test_the_mean_is_that_of_the_op(beta, shape):
    maps = 6 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    points, _ = mean_and_spread(maps, beta)
    assert (points - soft_argmax(maps, beta)).abs().max() < 1e-6


def test_the_spread_is_the_standard_deviation_cell_by_cell():
    maps = 3 * torch.randn((1, 2, 4, 7), generator=torch.Generator().manual_seed(2))
    _, spread = mean_and_spread(maps, 1.0)
    for k in range(2):
        weights = maps[0, k].double().exp()
        weights /= weights.sum()
        cells = [((c + 0.5) / 7, (r + 0.5) / 4, weights[r, c]) for r in range(4) for c in range(7)]
        x, y = sum(p * w for p, _, w in cells), sum(q * w for _, q, w in cells)
        variance = sum(w * ((p - x) ** 2 + (q - y) ** 2) for p, q, w in cells)
        assert float(spread[0, k]) == pytest.approx(float(variance) ** 0.5, rel=1e-5)


def test_a_single_hot_cell_has_no_spread():
    maps = torch.full((1, 1, 8, 8), -1e4)
    maps[0, 0, 2, 5] = 0
    points, spread = mean_and_spread(maps, 1.0)
    assert points[0, 0].tolist() == [5.5 / 8, 2.5 / 8]
    assert float(spread) < 1e-6


def test_it_is_the_trained_network_s_last_stack_with_the_same_weights():
    torch.manual_seed(0)
    trained = LandmarkNet(TINY, HeadConfig(beta=0.7), 5).eval()
    used = PredictionNet(TINY, 0.7, 5).eval()
    used.load_state_dict(trained.state_dict())
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        assert (used(images)[0] - trained(images)[-1]).abs().max() < 1e-6


@pytest.mark.parametrize("impl", ["conv", "fused"])
def test_the_trained_network_gives_both_in_one_pass(impl):
    torch.manual_seed(0)
    trained = LandmarkNet(TINY, HeadConfig(beta=0.7, impl=impl), 5).eval()
    used = PredictionNet(TINY, 0.7, 5).eval()
    used.load_state_dict(trained.state_dict())
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        points, spread = trained.with_spread(images)
        assert torch.equal(points, trained(images)[-1])
        assert (spread - used(images)[1]).abs().max() < 1e-5
