"""What MFU is made of: counted operations, and the rate of the machine."""

import tiny_stage
import torch
from torch import nn

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.training.throughput import matmul_rate, training_flops


class One(nn.Module):
    """A convolution of 3 to 4 channels, kernel 3, whose output is as large as the image."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images)


def test_a_convolution_counts_forward_and_for_its_weights() -> None:
    forward = 2 * 3 * 4 * 9 * 16 * 16
    assert training_flops(One(), 16) == 2 * forward


def test_the_paper_network_takes_92_gflop_an_image_and_stays_as_it_is() -> None:
    network = LandmarkNet(ModelConfig(), HeadConfig(), 98)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert 91e9 < training_flops(network, 256) < 92e9
    assert network.training
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_both_heads_and_the_reconstruction_can_be_counted() -> None:
    conv, fused = (tiny_stage.network(HeadConfig(impl=impl)) for impl in ("conv", "fused"))
    both = training_flops(conv, 32), training_flops(fused, 32)
    assert 0.7 * both[0] < both[1] < both[0]
    assert training_flops(ReconstructionNet(tiny_stage.MODEL, HeadConfig()), 32) > 1e6


def test_without_computing_anything_as_many_are_counted() -> None:
    network = tiny_stage.network()
    assert training_flops(network, 32) == training_flops(network.to("meta"), 32)


def test_the_rate_of_a_matrix_product_is_measured_once() -> None:
    rate = matmul_rate(torch.device("cpu"), torch.float32)
    assert 1e8 < rate < 1e14
    assert matmul_rate(torch.device("cpu"), torch.float32) == rate
