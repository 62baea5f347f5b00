"""The losses of the coordinate stages against plain loops over their definitions."""

import pytest
import torch
from loss_terms import heatmap_term
from sesame_kernels import Penalty, soft_argmax, star_loss
from torch.utils._python_dispatch import TorchDispatchMode

from sesame_hpc.config import HeadConfig, LossConfig, load_config
from sesame_hpc.stages.coordinate_losses import heatmap_loss, landmark_loss


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


@pytest.mark.parametrize("term", ["heatmap", "star"])
def test_it_cannot_be_had_from_a_head_that_writes_no_maps(term):
    with pytest.raises(ValueError, match=rf"loss\.{term} needs .* head\.impl fused never"):
        load_config("configs/paper.yaml", ["data.root=.", f"loss.{term}=0.01", "head.impl=fused"])


MAPS = [torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(2)]
LABELS = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(7))
WEIGHT = torch.rand(3, 4, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize("supervision", ["all", "last_only"])
@pytest.mark.parametrize("penalty", ["l1", "smooth_l1", "wing"])
def test_maps_cost_what_their_coordinates_cost(penalty, supervision):
    head = HeadConfig(beta=1.4, supervision=supervision)
    loss = LossConfig(penalty=penalty, width=0.1)
    coordinates = torch.stack([soft_argmax(maps, 1.4) for maps in MAPS])
    expected = landmark_loss(coordinates, LABELS, head, loss, WEIGHT)
    torch.testing.assert_close(landmark_loss(MAPS, LABELS, head, loss, WEIGHT), expected)
    stacks = coordinates if supervision == "all" else coordinates[1:]
    costs = Penalty(penalty, 0.1)(stacks - LABELS) * WEIGHT[..., None]
    torch.testing.assert_close(expected, costs.mean())


class Recorder(TorchDispatchMode):
    """Keeps the names of our ops that the dispatcher sees."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name.startswith("sesame_kernels::"):
            self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def test_the_maps_of_all_stacks_go_into_one_call():
    with Recorder() as recorder:
        landmark_loss(MAPS, LABELS, HeadConfig(), LossConfig())
    assert recorder.names == ["sesame_kernels::soft_argmax_loss"]


def test_terms_add_up():
    head, plain = HeadConfig(), LossConfig(penalty="smooth_l1")

    def of(**settings) -> torch.Tensor:
        return landmark_loss(MAPS, LABELS, head, plain.model_copy(update=settings), WEIGHT)

    maps, star = of(heatmap=0.3) - of(), of(star=0.2) - of()
    torch.testing.assert_close(of(heatmap=0.3, star=0.2), of() + maps + star)
    expected = [
        star_loss(*soft_argmax(each, second_moments=True), LABELS, WEIGHT, Penalty("smooth_l1"))
        for each in MAPS
    ]
    torch.testing.assert_close(star, 0.2 * torch.stack(expected).mean())


def test_a_bfloat16_map_loses_no_digits_of_its_coordinates():
    """Maps leave the network under autocast; the losses are computed outside of it."""
    maps = MAPS[0].bfloat16()
    exact = landmark_loss([maps.double()], LABELS.double(), HeadConfig(), LossConfig(heatmap=0.1))
    found = landmark_loss([maps], LABELS, HeadConfig(), LossConfig(heatmap=0.1))
    assert float(found) == pytest.approx(float(exact), rel=1e-6)
