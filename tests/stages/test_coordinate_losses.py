"""The losses of the coordinate stages against plain loops over their definitions."""

import pytest
import torch
from loss_terms import heatmap_term

from sesame_hpc.config import load_config
from sesame_hpc.stages.coordinates import heatmap_loss


def test_the_heat_map_loss_is_its_definition():
    torch.manual_seed(0)
    marginals = torch.softmax(torch.randn(2, 3, 4, 8, dtype=torch.float64), -1)
    labels = torch.rand(3, 4, dtype=torch.float64)
    expected = [
        heatmap_term(marginals[t, b, k].tolist(), float(labels[b, k]), 0.05)
        for t in range(2)
        for b in range(3)
        for k in range(4)
    ]
    found = heatmap_loss(marginals, labels, 0.05)
    assert float(found) == pytest.approx(sum(expected) / len(expected), rel=1e-6)


def test_it_is_least_where_the_map_is_that_gaussian():
    label, sigma = torch.tensor([[0.4]]), 0.1
    centres = (torch.arange(16) + 0.5) / 16
    gaussian = torch.exp(-(centres - label).square() / (2 * sigma**2))
    gaussian = (gaussian / gaussian.sum())[None, None]
    shifted = gaussian.roll(1, -1)
    assert heatmap_loss(gaussian, label, sigma) < heatmap_loss(shifted, label, sigma)


def test_a_label_far_outside_the_crop_asks_for_nothing():
    marginals = torch.full((1, 1, 1, 8), 1 / 8, requires_grad=True)
    heatmap_loss(marginals, torch.tensor([[3.0]]), 0.04).backward()
    assert marginals.grad is not None
    assert float(marginals.grad.abs().max()) < 1e-6


def test_it_cannot_be_had_from_a_head_that_writes_no_maps():
    with pytest.raises(ValueError, match=r"head\.impl fused never writes"):
        load_config("configs/demo.yaml", ["loss.heatmap=0.01", "head.impl=fused"])
