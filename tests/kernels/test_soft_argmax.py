import pytest
import torch
from kernel_inputs import (
    HALVES,
    LAYOUTS,
    MAP_SHAPES,
    layouts,
    pixels_off,
    randn,
    relative_rmse,
    textbook,
    textbook_moments,
)
from sesame_kernels import SoftArgmax, soft_argmax
from torch import Tensor


def coordinates_and_gradient(function, logits: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    logits = logits.detach().requires_grad_()
    coordinates = function(logits, beta)
    weights = torch.arange(coordinates.numel(), device=logits.device).view_as(coordinates) + 1.0
    return coordinates, torch.autograd.grad((coordinates * weights).sum(), logits)[0]


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [*MAP_SHAPES, (1, 2, 80, 72)])
@pytest.mark.parametrize("beta", [1.0, 0.37])
def test_agrees_with_float64(device, shape, beta):
    logits = randn(shape, device, scale=4.0)
    actual, gradient = coordinates_and_gradient(soft_argmax, logits, beta)
    expected, expected_gradient = coordinates_and_gradient(textbook, logits.double(), beta)
    assert actual.dtype == torch.float32
    assert actual.shape == (*shape[:2], 2)
    assert pixels_off(actual, expected, shape[2:]) < 1e-4
    assert gradient.shape == shape
    if shape[2:] == (1, 1):
        assert gradient.abs().max() < 1e-6
    else:
        assert relative_rmse(gradient, expected_gradient) < 2e-6


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_rounded_only_at_its_ends(device, dtype):
    logits = randn((2, 3, 16, 12), device, scale=4.0).to(dtype)
    actual, gradient = coordinates_and_gradient(soft_argmax, logits, 1.0)
    expected, expected_gradient = coordinates_and_gradient(textbook, logits.double(), 1.0)
    assert actual.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(actual, expected.float(), atol=1e-6, rtol=0)
    assert relative_rmse(gradient, expected_gradient) < 4e-3


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    logits = randn((2, 20, 6, 10), device, scale=4.0)
    expected, expected_gradient = coordinates_and_gradient(textbook, logits.double(), 1.0)
    actual, gradient = coordinates_and_gradient(soft_argmax, layouts(logits)[layout], 1.0)
    torch.testing.assert_close(actual, expected.float(), atol=2e-6, rtol=0)
    assert relative_rmse(gradient, expected_gradient) < 2e-6


def test_expanded(device):
    logits = randn((1, 1, 6, 10), device, scale=4.0).expand(2, 3, 6, 10)
    actual, gradient = coordinates_and_gradient(soft_argmax, logits, 1.0)
    expected, expected_gradient = coordinates_and_gradient(textbook, logits.double(), 1.0)
    torch.testing.assert_close(actual, expected.float(), atol=2e-6, rtol=0)
    assert relative_rmse(gradient, expected_gradient) < 2e-6


@pytest.mark.parametrize("peak", [1e4, -1e4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_large_logits(device, peak, memory_format):
    logits = torch.full((1, 2, 5, 4), -peak, device=device).contiguous(memory_format=memory_format)
    logits[0, :, 3, 1] = 1e4
    expected = textbook(logits).float()
    torch.testing.assert_close(soft_argmax(logits), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("rise", [40.0, -40.0])
def test_a_maximum_that_grows_from_tile_to_tile(device, channels_last, rise):
    logits = torch.linspace(0.0, rise, 80 * 72, device=device).view(1, 1, 80, 72)
    logits = logits + randn((1, 3, 80, 72), device)
    if channels_last:
        logits = logits.contiguous(memory_format=torch.channels_last)
    actual = soft_argmax(logits, second_moments=True)
    expected = textbook_moments(logits)
    assert pixels_off(actual[0], expected[0], (80, 72)) < 1e-4
    torch.testing.assert_close(actual[1].double(), expected[1], rtol=2e-5, atol=1e-8)


def test_equal_logits_give_the_centre(device):
    centre = torch.full((2, 3, 2), 0.5, device=device)
    logits = torch.full((2, 3, 7, 6), 3.5, device=device)
    torch.testing.assert_close(soft_argmax(logits), centre, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", [0, 5 * 70 + 3, 69 * 70 + 69])
def test_one_finite_logit_is_exact(device, cell):
    logits = torch.full((1, 1, 70, 70), -torch.inf, device=device)
    logits.view(-1)[cell] = 2.0
    expected = torch.tensor([[[(cell % 70 + 0.5) / 70, (cell // 70 + 0.5) / 70]]], device=device)
    coordinates, gradient = coordinates_and_gradient(soft_argmax, logits, 1.0)
    torch.testing.assert_close(coordinates, expected, atol=1e-7, rtol=0)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_without_an_answer_is_nan_and_leaves_the_others_alone(device, value):
    logits = randn((1, 3, 6, 6), device, scale=4.0)
    expected = soft_argmax(logits)
    logits[0, 1, 2, 4] = value
    actual = soft_argmax(logits)
    assert actual[0, 1].isnan().all()
    assert torch.equal(actual[0, ::2], expected[0, ::2])
    assert soft_argmax(torch.full_like(logits, -torch.inf)).isnan().all()


def test_repeats_bit_for_bit(device):
    logits = randn((2, 5, 20, 20), device, scale=4.0)
    first = coordinates_and_gradient(soft_argmax, logits, 1.0)
    second = coordinates_and_gradient(soft_argmax, logits, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("channels_last", [False, True])
def test_gradcheck(device, channels_last):
    logits = randn((1, 2, 2, 3), device, scale=1.0).double()
    if channels_last:
        logits = logits.contiguous(memory_format=torch.channels_last)
    assert torch.autograd.gradcheck(lambda z: soft_argmax(z, 0.7), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_retained_graph_gives_the_same_gradient_again(device, dtype):
    logits = randn((3, 4, 6, 5), device, scale=4.0).to(dtype).requires_grad_()
    coordinates = soft_argmax(logits, 0.7)
    kept = coordinates.detach().clone()
    gradients = [
        torch.autograd.grad(coordinates.square().sum(), logits, retain_graph=retain)[0]
        for retain in (True, True, False)
    ]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0], gradients[2], rtol=1e-5, atol=1e-9)
    assert torch.equal(coordinates, kept)


def test_second_derivative_is_refused(device):
    logits = randn((1, 1, 3, 3), device, scale=4.0).requires_grad_()
    gradient = torch.autograd.grad(soft_argmax(logits).sum(), logits, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="soft_argmax_backward"):
        gradient.sum().backward()


def test_module_and_errors():
    logits = torch.randn(1, 2, 4, 4)
    assert torch.equal(SoftArgmax(2.0)(logits), soft_argmax(logits, 2.0))
    with pytest.raises(ValueError, match="4 dimensions"):
        soft_argmax(logits[0])
    with pytest.raises(ValueError, match="floating dtype"):
        soft_argmax(logits.int())
    with pytest.raises(ValueError, match="beta must be finite and above 0"):
        soft_argmax(logits, 0.0)
    with pytest.raises(ValueError, match="at least 1 x 1"):
        soft_argmax(logits[:, :, :0])
