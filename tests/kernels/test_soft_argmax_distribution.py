import math

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
from sesame_kernels import gaussian_divergence, soft_argmax, soft_argmax_distribution
from torch import Tensor


def textbook_distribution(logits: Tensor, beta: float = 1.0) -> tuple[Tensor, ...]:
    probability = (logits.double() * beta).flatten(2).softmax(2)
    entropy = -torch.special.xlogy(probability, probability).sum(2)
    return *textbook_moments(logits, beta), entropy, probability.amax(2)


def with_gradient(function, logits: Tensor, beta: float) -> tuple[Tensor, ...]:
    logits = logits.detach().requires_grad_()
    outputs = tuple(function(logits, beta))
    return *outputs, *gradient(outputs[:3], logits)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [*MAP_SHAPES, (1, 2, 80, 72)])
@pytest.mark.parametrize("beta", [1.0, 0.37])
def test_agrees_with_float64(device, shape, beta):
    logits = randn(shape, device, scale=4.0)
    *actual, grad = with_gradient(soft_argmax_distribution, logits, beta)
    *expected, expected_grad = with_gradient(textbook_distribution, logits.double(), beta)
    for ours, textbook in zip(actual, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), textbook, rtol=2e-5, atol=1e-6)
    assert not actual[3].requires_grad
    if shape[2:] == (1, 1):
        assert grad.abs().max() < 1e-6
    else:
        assert relative_rmse(grad, expected_grad) < 3e-6


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    logits = randn((2, 20, 6, 10), device, scale=4.0)
    *expected, expected_grad = with_gradient(textbook_distribution, logits.double(), 1.0)
    *actual, grad = with_gradient(soft_argmax_distribution, layouts(logits)[layout], 1.0)
    for ours, textbook in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours.double(), textbook, rtol=2e-5, atol=1e-6)
    assert relative_rmse(grad, expected_grad) < 3e-6


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_rounded_only_at_its_ends(device, dtype):
    logits = randn((2, 3, 16, 12), device, scale=4.0).to(dtype)
    *actual, grad = with_gradient(soft_argmax_distribution, logits, 1.0)
    *expected, expected_grad = with_gradient(textbook_distribution, logits.double(), 1.0)
    torch.testing.assert_close(actual[2].double(), expected[2], rtol=1e-5, atol=1e-6)
    assert grad.dtype == dtype
    assert relative_rmse(grad, expected_grad) < 4e-3


@pytest.mark.parametrize("layout", [None, "channels_last"])
def test_impossible_cells_cost_nothing(device, layout):
    logits = torch.full((1, 16, 80, 72), -torch.inf, device=device)
    logits[:, :, 70, 3] = 2.0
    logits[:, :, 79, 71] = 2.0
    logits = layouts(logits)[layout] if layout else logits
    _, _, entropy, peak, grad = with_gradient(soft_argmax_distribution, logits, 1.0)
    torch.testing.assert_close(entropy, torch.full_like(entropy, math.log(2)))
    assert (peak == 0.5).all()
    assert grad.isfinite().all()
    assert (grad.flatten(2) != 0).sum(2).le(2).all()


def test_a_flat_map_and_a_point(device):
    flat = soft_argmax_distribution(torch.full((1, 1, 5, 8), 1e4, device=device))
    assert flat.entropy.item() == pytest.approx(math.log(40), rel=1e-6)
    assert flat.peak.item() == pytest.approx(1 / 40, rel=1e-6)
    logits = torch.zeros(1, 1, 5, 8, device=device)
    logits[0, 0, 2, 3] = 1e4
    point = soft_argmax_distribution(logits)
    assert point.entropy.item() == 0.0
    assert point.peak.item() == 1.0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_without_an_answer_is_nan_and_leaves_the_others_alone(device, value):
    logits = randn((1, 3, 6, 6), device)
    expected = soft_argmax_distribution(logits)
    logits[0, 1, 2, 4] = value
    for actual, others in zip(soft_argmax_distribution(logits), expected, strict=True):
        assert actual[0, 1].isnan().all()
        assert torch.equal(actual[0, ::2], others[0, ::2])
    for actual in soft_argmax_distribution(torch.full_like(logits, -torch.inf)):
        assert actual.isnan().all()


def test_gradcheck_of_each(device):
    logits = randn((1, 2, 2, 3), device).double().requires_grad_()
    for field in range(3):
        call = lambda z, field=field: soft_argmax_distribution(z, 0.7)[field]  # noqa: E731
        assert torch.autograd.gradcheck(call, logits)


def test_the_divergence_is_that_of_the_maps(device):
    size, sigma = (20, 24), 0.08
    logits, target = randn((2, 3, *size), device, scale=3.0), torch.full((2, 3, 2), 0.5)
    target = (target + 0.1 * torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(1))).to(
        device
    )
    centres = [(torch.arange(n, device=device, dtype=torch.float64) + 0.5) / n for n in size]
    away = (centres[1] - target[..., :1].double())[:, :, None, :].square()
    away = away + (centres[0] - target[..., 1:].double())[..., None].square()
    goal = (-away / (2 * sigma**2)).flatten(2).softmax(2)
    probability = logits.double().flatten(2).softmax(2)
    expected = (probability * (probability.log() - goal.log())).sum(2)
    weight = torch.rand(2, 3, generator=torch.Generator().manual_seed(2)).to(device)
    found = gaussian_divergence(soft_argmax_distribution(logits), target, sigma, size, weight)
    torch.testing.assert_close(found.double(), (expected * weight).mean(), rtol=1e-4, atol=0)


def test_the_divergence_of_a_matching_map_is_0_and_pulls_others_there(device):
    size, sigma = (32, 32), 0.06
    target = torch.full((1, 1, 2), 0.45, device=device)
    centres = (torch.arange(32, device=device) + 0.5) / 32
    one = -((centres - 0.45) ** 2) / (2 * sigma**2)
    match = (one[:, None] + one)[None, None]
    divergence = gaussian_divergence(soft_argmax_distribution(match), target, sigma, size)
    assert abs(divergence.item()) < 1e-4
    # One row is one dimension.
    line = gaussian_divergence(
        soft_argmax_distribution(one[None, None, None]), target, sigma, (1, 32)
    )
    assert abs(line.item()) < 1e-4
    logits = torch.zeros(1, 1, *size, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = gaussian_divergence(soft_argmax_distribution(logits), target, sigma, size)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    torch.testing.assert_close(soft_argmax(logits), target, atol=0.01, rtol=0)


def test_errors_of_the_divergence():
    found, target = soft_argmax_distribution(torch.zeros(1, 2, 4, 4)), torch.zeros(1, 2, 2)
    with pytest.raises(ValueError, match="sigma must be finite and above 0, got 0"):
        gaussian_divergence(found, target, 0, (4, 4))
    with pytest.raises(
        ValueError, match=r"size must be \(H, W\), integers of at least 1, got \(4, 0\)"
    ):
        gaussian_divergence(found, target, 0.1, (4, 0))
    with pytest.raises(ValueError, match=r"target must have shape \[1, 2, 2\]"):
        gaussian_divergence(found, target[:, :1], 0.1, (4, 4))
