import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.models.hourglass import StackedHourglass

SMALL = ModelConfig(stacks=2, width=16, levels=2, image_size=32, map_size=8)


def test_paper_size_network_has_13_0_m_parameters_and_30_6_gflop_forward() -> None:
    with torch.device("meta"):
        network = StackedHourglass(ModelConfig(), 98)
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 256, 256))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 13.0
    assert round(counter.get_total_flops() / 1e9, 1) == 30.6


@pytest.mark.parametrize("stacks", [1, 2, 4, 8])
@pytest.mark.parametrize(("image_size", "map_size"), [(32, 8), (32, 16)])
def test_every_stack_gives_a_map(stacks: int, image_size: int, map_size: int) -> None:
    settings = {"stacks": stacks, "image_size": image_size, "map_size": map_size}
    config = ModelConfig.model_validate({"width": 8, "levels": 2, **settings})
    maps = StackedHourglass(config, 5)(torch.rand(2, 3, image_size, image_size))
    assert [tuple(each.shape) for each in maps] == [(2, 5, map_size, map_size)] * stacks


def test_every_parameter_of_every_stack_gets_a_gradient() -> None:
    network = LandmarkNet(SMALL, HeadConfig(), 5)
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    bias_of_map = {f"backbone.stacks.{i}.head.bias" for i in range(SMALL.stacks)}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        if name not in bias_of_map:  # softmax cancels the last stack's
            assert parameter.grad.abs().max() > 0, name


def test_landmarks_lie_in_the_crop() -> None:
    coordinates = LandmarkNet(SMALL, HeadConfig(beta=50.0), 7)(torch.rand(3, 3, 32, 32))
    assert coordinates.shape == (2, 3, 7, 2)
    assert coordinates.dtype == torch.float32
    assert coordinates.min() >= 0
    assert coordinates.max() <= 1


@pytest.mark.parametrize("stacks", [1, 2])
def test_the_fused_head_has_the_same_weights_coordinates_and_gradients(stacks: int) -> None:
    model = SMALL.model_copy(update={"stacks": stacks})
    conv = LandmarkNet(model, HeadConfig(beta=3.0), 5).double()
    fused = LandmarkNet(model, HeadConfig(beta=3.0, impl="fused"), 5).double()
    fused.load_state_dict(conv.state_dict())
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    results = [network(images) for network in (conv, fused)]
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-12)
    for result in results:
        (result * torch.linspace(-1, 1, result.numel()).double().view_as(result)).sum().backward()
    bias = f"backbone.stacks.{stacks - 1}.head.bias"
    gradients = dict(fused.named_parameters())
    for name, parameter in conv.named_parameters():
        if name == bias:
            assert parameter.grad.abs().max() < 1e-12
            assert gradients[name].grad is None
        else:
            difference = (gradients[name].grad - parameter.grad).norm()
            assert difference <= 1e-9 * parameter.grad.norm() + 1e-11, name


@pytest.mark.parametrize("upscale", [1, 2, 4])
def test_reconstructions_are_images_of_the_upscaled_map_size(upscale: int) -> None:
    head = HeadConfig.model_validate({"reconstruction_upscale": upscale})
    network = ReconstructionNet(SMALL, head)
    reconstructions = network(torch.rand(2, 3, 32, 32))
    assert [tuple(r.shape) for r in reconstructions] == [(2, 3, 8 * upscale, 8 * upscale)] * 2


def test_a_stack_passes_its_maps_on() -> None:
    network = StackedHourglass(SMALL, 3).eval()
    image = torch.rand(1, 3, 32, 32)
    before = network(image)[1]
    with torch.no_grad():
        network.get_parameter("stacks.0.inject_map.weight").zero_()
    assert not torch.equal(before, network(image)[1])


@pytest.mark.parametrize(
    ("sizes", "part"),
    [
        ({"image_size": 96, "map_size": 20}, "2 or 4 times"),
        ({"image_size": 96, "map_size": 24, "levels": 4}, "multiple of 2 ** levels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict, part: str) -> None:
    with pytest.raises(ValueError, match=part.replace("*", r"\*")):
        ModelConfig(**sizes)
