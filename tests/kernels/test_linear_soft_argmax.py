import pytest
import torch
from kernel_inputs import (
    HALVES,
    LAYOUTS,
    gradient,
    layouts,
    pixels_off,
    randn,
    relative_rmse,
    textbook,
)
from sesame_kernels import LinearSoftArgmax, linear_soft_argmax, soft_argmax
from sesame_kernels.dispatch import runs_reference
from torch import Tensor, nn

SIZES = [  # B, C, K, H, W
    (2, 1, 1, 1, 1),
    (2, 20, 3, 7, 5),
    (1, 32, 98, 8, 8),
    (2, 6, 3, 5, 8),
    (2, 5, 1, 48, 64),
    (2, 70, 130, 9, 11),
    (1, 16, 2, 40, 33),
]


def composition(features: Tensor, weight: Tensor, beta: float = 1.0) -> Tensor:
    return textbook(torch.einsum("kc,bchw->bkhw", weight, features), beta)


def inputs(size: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    batch, channels, maps, height, width = size
    features = randn((batch, channels, height, width), device, scale=2.0, seed=4)
    return features, randn((maps, channels), device, scale=2.0 / channels**0.5, seed=5)


def with_gradients(function, features: Tensor, weight: Tensor, beta: float = 1.0):
    features, weight = features.detach().requires_grad_(), weight.detach().requires_grad_()
    coordinates = function(features, weight, beta)
    return coordinates, *gradient(coordinates, features, weight)


def assert_agrees(actual, expected, size: tuple[int, int], pixels: float, error: float):
    assert pixels_off(actual[0], expected[0], size) < pixels
    for grad, expected_grad in zip(actual[1:], expected[1:], strict=True):
        assert relative_rmse(grad, expected_grad) < error


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("beta", [1.0, 0.37])
def test_agrees_with_float64(device, size, beta):
    features, weight = inputs(size, device)
    actual = with_gradients(linear_soft_argmax, features, weight, beta)
    expected = with_gradients(composition, features.double(), weight.double(), beta)
    assert actual[0].shape == (size[0], size[2], 2)
    assert actual[0].dtype == torch.float32
    if size[3:] == (1, 1):
        assert all(grad.abs().max() < 1e-5 for grad in actual[1:])
    else:
        assert_agrees(actual, expected, size[3:], pixels=2e-4, error=1e-5)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_within_2e_3_pixels(device, dtype):
    features, weight = (tensor.to(dtype) for tensor in inputs((2, 64, 20, 16, 12), device))
    actual = with_gradients(linear_soft_argmax, features, weight)
    expected = with_gradients(composition, features.double(), weight.double())
    assert actual[0].dtype == torch.float32
    assert [grad.dtype for grad in actual[1:]] == [dtype, dtype]
    assert_agrees(actual, expected, (16, 12), pixels=2e-3, error=1e-2)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    features, weight = inputs((3, 20, 6, 10, 9), device)
    expected = with_gradients(composition, features.double(), weight.double())
    weight = weight.t().contiguous().t()
    actual = with_gradients(linear_soft_argmax, layouts(features)[layout], weight)
    assert actual[1].is_contiguous(
        memory_format=torch.channels_last if layout == "channels_last" else torch.contiguous_format
    )
    assert_agrees(actual, expected, (10, 9), pixels=1e-4, error=1e-5)


def test_expanded(device):
    features, weight = inputs((1, 20, 6, 10, 9), device)
    features = features.expand(3, 20, 10, 9)
    actual = with_gradients(linear_soft_argmax, features, weight)
    expected = with_gradients(composition, features.double(), weight.double())
    assert_agrees(actual, expected, (10, 9), pixels=1e-4, error=1e-5)


def test_equals_the_layer_and_its_soft_argmax(device):
    layer = nn.Conv2d(12, 5, 1).to(device)
    features = randn((2, 12, 9, 7), device)
    expected = soft_argmax(layer(features), 2.0)
    actual = linear_soft_argmax(features, layer.weight, 2.0)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1e4, 1e2])
def test_large_logits(device, size):
    features, weight = inputs((2, 8, 3, 9, 12), device)
    weight *= size
    actual = linear_soft_argmax(features, weight)
    assert actual.isfinite().all()
    assert pixels_off(actual, composition(features.double(), weight.double()), (9, 12)) < 1e-2


@pytest.mark.parametrize("rise", [40.0, -40.0])
def test_a_maximum_that_grows_from_part_to_part(device, rise):
    features = torch.linspace(0.0, rise, 40 * 33, device=device).view(1, 1, 40, 33)
    features = features + randn((1, 3, 40, 33), device)
    weight = randn((2, 3), device).abs()
    actual = with_gradients(linear_soft_argmax, features, weight)
    expected = with_gradients(composition, features.double(), weight.double())
    # The weight's gradient cancels: features of 40 magnify how float32 rounds the coordinates.
    assert_agrees(actual, expected, (40, 33), pixels=1e-3, error=3e-4)


def test_equal_features_give_the_centre(device):
    features = torch.full((2, 4, 33, 40), 3.0, device=device)
    weight = randn((3, 4), device)
    centre = torch.full((2, 3, 2), 0.5, device=device)
    torch.testing.assert_close(linear_soft_argmax(features, weight), centre, atol=1e-6, rtol=0)


def test_nan_shows_in_its_sample_and_its_landmark_only(device):
    features, weight = inputs((3, 8, 4, 40, 33), device)
    expected = linear_soft_argmax(features, weight)
    features[1, 2, 30, 3] = torch.nan
    actual = linear_soft_argmax(features, weight)
    assert actual[1].isnan().all()
    assert torch.equal(actual[::2], expected[::2])
    weight[2, 0] = torch.nan
    actual = linear_soft_argmax(features, weight)
    assert actual[:, 2].isnan().all()
    assert torch.equal(actual[::2, :2], expected[::2, :2])


@pytest.mark.parametrize("size", [(0, 8, 4, 5, 6), (2, 8, 0, 5, 6)])
def test_empty(device, size):
    features, weight = inputs(size, device)
    coordinates, grad_features, grad_weight = with_gradients(linear_soft_argmax, features, weight)
    assert coordinates.shape == (size[0], size[2], 2)
    assert (grad_features == 0).all()
    assert grad_weight.shape == weight.shape
    assert (grad_weight == 0).all()


def test_splitting_the_batch_changes_nothing(device):
    features, weight = inputs((4, 8, 3, 24, 30), device)
    whole = linear_soft_argmax(features, weight)
    part = linear_soft_argmax(features[1:3], weight)
    torch.testing.assert_close(part, whole[1:3], atol=1e-6, rtol=0)
    if not runs_reference(device):  # oneDNN chooses its order by the batch
        assert torch.equal(part, whole[1:3])


def test_gradcheck(device):
    features, weight = (tensor.double() for tensor in inputs((2, 3, 2, 3, 4), device))
    features.requires_grad_()
    weight.requires_grad_()
    function = linear_soft_argmax
    assert torch.autograd.gradcheck(lambda f, w: function(f, w, 0.7), (features, weight))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_retained_graph_gives_the_same_gradient_again(device, memory_format):
    features, weight = inputs((3, 20, 6, 10, 9), device)
    features = features.contiguous(memory_format=memory_format).requires_grad_()
    coordinates = linear_soft_argmax(features, weight.requires_grad_())
    kept = coordinates.detach().clone()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        gradients = [
            torch.autograd.grad(coordinates.square().sum(), (features, weight), retain_graph=retain)
            for retain in (True, True, False)
        ]
    for first, second, last in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        torch.testing.assert_close(first, last, rtol=1e-5, atol=1e-7)
    assert torch.equal(coordinates, kept)


def test_module_and_errors():
    features, weight = inputs((2, 8, 4, 5, 6), torch.device("cpu"))
    layer = nn.Conv2d(8, 4, 1, bias=False)
    module = LinearSoftArgmax(8, 4, beta=2.0)
    module.load_state_dict(layer.state_dict())
    expected = linear_soft_argmax(features, layer.weight.flatten(1), 2.0)
    assert torch.equal(module(features), expected)
    with pytest.raises(ValueError, match=r"weight must have shape \[4, 8\]"):
        linear_soft_argmax(features, weight[:, :3])
    with pytest.raises(ValueError, match=r"weight must have shape \[4, 8\]"):
        linear_soft_argmax(features, weight[:, :, None, None].expand(4, 8, 3, 3))
    with pytest.raises(ValueError, match="cast one"):
        linear_soft_argmax(features, weight.double())
    with pytest.raises(ValueError, match="beta must be finite and above 0"):
        linear_soft_argmax(features, weight, -1.0)
