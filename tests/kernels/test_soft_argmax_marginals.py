import pytest
import torch
from kernel_inputs import HALVES, LAYOUTS, MAP_SHAPES, gradient, layouts, randn, relative_rmse
from sesame_kernels import soft_argmax, soft_argmax_marginals
from torch import Tensor


def textbook_marginals(logits: Tensor, beta: float = 1.0) -> tuple[Tensor, ...]:
    height, width = logits.shape[2:]
    probability = (logits.double() * beta).flatten(2).softmax(2).view(logits.shape)
    along_x, along_y = probability.sum(2), probability.sum(3)
    x = (torch.arange(width, device=logits.device, dtype=torch.float64) + 0.5) / width
    y = (torch.arange(height, device=logits.device, dtype=torch.float64) + 0.5) / height
    return torch.stack((along_x @ x, along_y @ y), 2), along_x, along_y


def with_gradient(function, logits: Tensor, beta: float) -> tuple[Tensor, ...]:
    logits = logits.detach().requires_grad_()
    outputs = function(logits, beta)
    return *outputs, *gradient(outputs, logits)


def assert_agrees(logits: Tensor, beta: float, given: Tensor, tolerance: float = 2e-5) -> None:
    *expected, expected_grad = with_gradient(textbook_marginals, logits.double(), beta)
    *actual, grad = with_gradient(soft_argmax_marginals, given, beta)
    for ours, textbook in zip(actual, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), textbook, rtol=1e-5, atol=1e-6)
    assert grad.dtype == given.dtype
    assert relative_rmse(grad, expected_grad) < tolerance


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [*MAP_SHAPES[1:], (1, 2, 80, 72)])
@pytest.mark.parametrize("beta", [1.0, 0.37])
def test_agrees_with_float64(device, shape, beta):
    logits = randn(shape, device, scale=4.0)
    assert_agrees(logits, beta, logits)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    logits = randn((2, 20, 6, 10), device, scale=4.0)
    assert_agrees(logits, 1.0, layouts(logits)[layout])


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_rounded_only_at_its_ends(device, dtype):
    logits = randn((2, 3, 16, 12), device, scale=4.0).to(dtype)
    assert_agrees(logits, 1.0, logits, tolerance=6e-3)


@pytest.mark.parametrize("field", range(3))
def test_gradcheck_of_each(device, field):
    logits = randn((1, 2, 2, 3), device).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soft_argmax_marginals(z, 0.7)[field], logits)


def test_coordinates_are_those_of_soft_argmax_under_autocast_too(device):
    logits = randn((2, 3, 9, 12), device, scale=3.0)
    expected = soft_argmax(logits, 1.3)
    with torch.autocast(device.type, torch.bfloat16):
        coordinates, along_x, _ = soft_argmax_marginals(logits, 1.3)
    torch.testing.assert_close(coordinates, expected, atol=2e-7, rtol=0)
    assert along_x.dtype == torch.float32


def test_a_retained_graph_gives_the_same_gradient_again(device):
    logits = randn((2, 3, 6, 5), device).requires_grad_()
    _, along_x, along_y = soft_argmax_marginals(logits)
    loss = along_x.square().sum() + along_y.square().sum()
    first, second = (
        torch.autograd.grad(loss, logits, retain_graph=retain)[0] for retain in (True, False)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_without_an_answer_is_nan_and_leaves_the_others_alone(device, value):
    logits = randn((1, 3, 6, 6), device)
    expected = soft_argmax_marginals(logits)
    logits[0, 1, 2, 4] = value
    for actual, others in zip(soft_argmax_marginals(logits), expected, strict=True):
        assert actual[0, 1].isnan().all()
        assert torch.equal(actual[0, ::2], others[0, ::2])
