import pytest
import torch
from kernel_inputs import (
    HALVES,
    LAYOUTS,
    MAP_SHAPES,
    gradient,
    layouts,
    randn,
    relative_rmse,
    textbook_moments,
)
from sesame_kernels import SoftArgmax, soft_argmax
from torch import Tensor


def moments(logits: Tensor, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    return soft_argmax(logits, beta, second_moments=True)


def with_gradient(function, logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    logits = logits.detach().requires_grad_()
    outputs = function(logits, beta)
    return *outputs, *gradient(outputs, logits)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [*MAP_SHAPES, (1, 2, 80, 72)])
@pytest.mark.parametrize("beta", [1.0, 0.37])
def test_agrees_with_float64(device, shape, beta):
    logits = randn(shape, device, scale=4.0)
    coordinates, actual, grad = with_gradient(moments, logits, beta)
    _, expected, expected_grad = with_gradient(textbook_moments, logits.double(), beta)
    assert actual.shape == (*shape[:2], 3)
    assert actual.dtype == torch.float32
    # Not the same bits: the compiler contracts other products and sums where moments are asked for.
    torch.testing.assert_close(coordinates, soft_argmax(logits, beta), rtol=0, atol=2e-7)
    torch.testing.assert_close(actual.double(), expected, rtol=2e-5, atol=1e-8)
    if shape[2:] == (1, 1):
        assert grad.abs().max() < 1e-6
    else:
        assert relative_rmse(grad, expected_grad) < 3e-6


@pytest.mark.parametrize("cell", [(3, 70), (79, 70), (40, 0)])
def test_a_sharp_peak_far_from_the_corner_keeps_its_digits(device, cell):
    row, column = cell
    logits = torch.full((1, 1, 80, 72), -30.0, device=device)
    logits[0, 0, row, column] = 0.0
    logits[0, 0, 5, 5] = -7.0
    expected = textbook_moments(logits)[1]
    assert relative_rmse(moments(logits)[1], expected) < 1e-5


def test_known_moments(device):
    logits = torch.full((1, 1, 4, 4), -torch.inf, device=device)
    logits[0, 0, 0, 0] = logits[0, 0, 3, 3] = 1.0
    expected = torch.tensor([[[0.375**2, 0.375**2, 0.375**2]]], device=device)
    torch.testing.assert_close(moments(logits)[1], expected, atol=1e-7, rtol=0)
    flat = torch.zeros(1, 1, 5, 8, device=device)
    expected = torch.tensor([[[(1 - 1 / 64) / 12, (1 - 1 / 25) / 12, 0.0]]], device=device)
    torch.testing.assert_close(moments(flat)[1], expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_rounded_only_at_its_ends(device, dtype):
    logits = randn((2, 3, 16, 12), device, scale=4.0).to(dtype)
    _, actual, grad = with_gradient(moments, logits, 1.0)
    _, expected, expected_grad = with_gradient(textbook_moments, logits.double(), 1.0)
    assert grad.dtype == dtype
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-8)
    assert relative_rmse(grad, expected_grad) < 4e-3


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    logits = randn((2, 20, 6, 10), device, scale=4.0)
    _, expected, expected_grad = with_gradient(textbook_moments, logits.double(), 1.0)
    _, actual, grad = with_gradient(moments, layouts(logits)[layout], 1.0)
    torch.testing.assert_close(actual.double(), expected, rtol=2e-5, atol=1e-8)
    assert relative_rmse(grad, expected_grad) < 3e-6


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_without_an_answer_is_nan_and_leaves_the_others_alone(device, value):
    logits = randn((1, 3, 6, 6), device)
    expected = moments(logits)[1]
    logits[0, 1, 2, 4] = value
    actual = moments(logits)[1]
    assert actual[0, 1].isnan().all()
    assert torch.equal(actual[0, ::2], expected[0, ::2])
    assert moments(torch.full_like(logits, -torch.inf))[1].isnan().all()


@pytest.mark.parametrize("parts", [slice(0, 2), slice(0, 1), slice(1, 2)])
def test_gradcheck_of_each_and_both(device, parts):
    logits = randn((1, 2, 2, 3), device).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: moments(z, 0.7)[parts], logits)


def test_module():
    logits = torch.randn(1, 2, 4, 4)
    coordinates, second = SoftArgmax(2.0, second_moments=True)(logits)
    assert torch.equal(coordinates, soft_argmax(logits, 2.0))
    assert torch.equal(second, moments(logits, 2.0)[1])
