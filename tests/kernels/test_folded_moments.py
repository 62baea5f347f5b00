"""Second moments and entropy of channels-last maps of which several pixels are read as one row."""

import math

import pytest
import torch
from kernel_inputs import HALVES, gradient, randn, relative_rmse
from sesame_kernels import soft_argmax, soft_argmax_distribution
from sesame_kernels.fused.folded_soft_argmax import fold_of
from sesame_kernels.layout import flat_pixels
from torch import Tensor

FOLDED = [
    (2, 20, 6, 8),
    (1, 34, 8, 16),
    (1, 6, 4, 48),
    (1, 5, 3, 16),  # a line is one row
    (2, 2, 1, 8),  # a part is one pixel
]


def channels_last(shape: tuple[int, ...], device: torch.device) -> Tensor:
    logits = randn(shape, device, scale=4.0).contiguous(memory_format=torch.channels_last)
    assert fold_of(flat_pixels(logits), shape[3]) > 1
    return logits


def results(logits: Tensor, beta: float) -> tuple[tuple[Tensor, ...], Tensor]:
    """Coordinates, moments, entropy and peak, and the gradient through all that have one."""
    logits = logits.detach().requires_grad_()
    found = soft_argmax_distribution(logits, beta)
    (slope,) = gradient(found[:3], logits)
    return tuple(found), slope


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", FOLDED)
def test_agrees_with_float64(device: torch.device, shape: tuple[int, ...]) -> None:
    logits = channels_last(shape, device)
    found, slope = results(logits, 0.37)
    expected, wanted = results(logits.double().contiguous(), 0.37)
    for ours, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=2e-5, atol=1e-6)
    assert relative_rmse(slope, wanted) < 3e-6
    assert slope.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", FOLDED)
def test_moments_without_entropy_are_the_same(device: torch.device, shape: tuple[int, ...]) -> None:
    logits = channels_last(shape, device).requires_grad_()
    coordinates, moments = soft_argmax(logits, second_moments=True)
    both = soft_argmax_distribution(logits)
    torch.testing.assert_close(coordinates, both.coordinates, rtol=0, atol=1e-6)
    torch.testing.assert_close(moments, both.moments, rtol=1e-5, atol=1e-8)
    (one,), (other,) = gradient(moments, logits), gradient(both.moments, logits)
    assert relative_rmse(one, other.double()) < 3e-6


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_rounded_only_at_its_ends(
    device: torch.device, dtype: torch.dtype
) -> None:
    logits = channels_last((1, 20, 6, 8), device).to(dtype)
    found, slope = results(logits, 1.0)
    expected, wanted = results(logits.double().contiguous(), 1.0)
    for ours, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=2e-5, atol=2e-6)
    assert slope.dtype == dtype
    assert relative_rmse(slope, wanted) < 4e-3


@pytest.mark.parametrize("cell", [(0, 0), (30, 44)])
def test_a_sharp_peak_far_from_the_corner_keeps_its_digits(
    device: torch.device, cell: tuple[int, int]
) -> None:
    row, column = cell
    y, x = torch.arange(32, device=device)[:, None], torch.arange(48, device=device)
    map_ = -1.5 * ((x - column) ** 2 + (y - row) ** 2).float()
    logits = map_.expand(1, 2, -1, -1).contiguous(memory_format=torch.channels_last)
    found, _ = results(logits, 1.0)
    expected, _ = results(logits.double().contiguous(), 1.0)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(found[2].double(), expected[2], rtol=1e-5, atol=1e-6)


def test_parts_without_a_possible_pixel_count_for_nothing(device: torch.device) -> None:
    logits = torch.full((1, 2, 12, 16), -torch.inf, device=device)
    logits[:, :, 2, 3] = 2.0  # pixels of one part, and of another
    logits[:, :, 10, 11] = 2.0
    logits[:, 1, 5, 4] = 2.0
    logits = logits.contiguous(memory_format=torch.channels_last)
    found, slope = results(logits, 1.0)
    expected = torch.tensor([[[7.5 / 16, 6.5 / 12]]], device=device)
    torch.testing.assert_close(found[0][:, :1], expected)
    torch.testing.assert_close(found[2][0], torch.tensor([2.0, 3.0], device=device).log())
    torch.testing.assert_close(found[3][0], torch.tensor([1 / 2, 1 / 3], device=device))
    assert slope.isfinite().all()
    assert (slope != 0).sum().item() <= 5


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_without_an_answer_is_nan_and_leaves_the_others_alone(
    device: torch.device, value: float
) -> None:
    logits = channels_last((1, 20, 2, 8), device)
    expected, _ = results(logits, 1.0)
    logits[0, 7, 1, 5] = value
    logits[0, 2] = -torch.inf
    others = torch.ones(1, 20, dtype=torch.bool, device=device)
    others[0, 7] = others[0, 2] = False
    for found, wanted in zip(results(logits, 1.0)[0], expected, strict=True):
        assert found[0, 7].isnan().all()
        assert found[0, 2].isnan().all()
        assert torch.equal(found[others], wanted[others])


def test_a_flat_map_has_the_entropy_of_its_pixels(device: torch.device) -> None:
    logits = torch.full((1, 2, 4, 8), 1e4, device=device)
    logits = logits.contiguous(memory_format=torch.channels_last)
    found = soft_argmax_distribution(logits)
    torch.testing.assert_close(found.entropy, torch.full_like(found.entropy, math.log(32)))
    logits[0, :, 3, 1] = 3e4
    point = soft_argmax_distribution(logits)
    assert (point.entropy == 0).all()
    assert (point.peak == 1).all()
    assert (point.moments == 0).all()
