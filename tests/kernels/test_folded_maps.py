"""Channels-last maps of which several pixels are read as one row (`folded_soft_argmax`)."""

import pytest
import torch
from kernel_inputs import (
    HALVES,
    gradient,
    pixels_off,
    randn,
    relative_rmse,
    textbook,
)
from sesame_kernels import soft_argmax, soft_argmax_loss
from sesame_kernels.fused.folded_soft_argmax import fold_of
from sesame_kernels.layout import flat_pixels
from torch import Tensor

FOLDED = {
    (2, 20, 6, 8): 4,  # tiles are not whole
    (2, 98, 16, 16): 8,  # tiles of whole lines, all rows in whole tiles
    (1, 6, 8, 48): 8,  # a tile is not made of whole lines
    (3, 5, 3, 16): 16,  # a line is one row
    (2, 3, 33, 16): 16,
}


def channels_last(shape: tuple[int, ...], device: torch.device) -> Tensor:
    return randn(shape, device, scale=4.0).contiguous(memory_format=torch.channels_last)


def fold(maps: Tensor) -> int:
    return fold_of(flat_pixels(maps), maps.shape[3])


def test_which_maps_are_folded() -> None:
    cpu = torch.device("cpu")
    for shape, expected in FOLDED.items():
        assert fold(channels_last(shape, cpu)) == expected
        assert fold(randn(shape, cpu)) == 0
    assert fold(channels_last((2, 32, 4, 16), cpu)) == 0  # rows begin at sectors as they are
    assert fold(channels_last((2, 20, 8, 6), cpu)) == 0  # four pixels cross the end of a line
    assert fold(channels_last((2, 24, 6, 8), cpu)[:, :20]) == 0  # there is more between pixels
    assert fold(channels_last((2, 20, 6, 16), cpu)[..., :8]) == 0
    assert fold(channels_last((4, 20, 6, 8), cpu)[::2]) == 4
    apart = torch.zeros(2 * 961).as_strided((2, 20, 6, 8), (961, 1, 160, 20))
    assert fold(apart) == 0  # the second sample begins within a sector
    assert fold(apart[:1]) == 4


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", FOLDED)
def test_agrees_with_float64(device: torch.device, shape: tuple[int, ...]) -> None:
    logits = channels_last(shape, device).requires_grad_()
    actual = soft_argmax(logits, 0.37)
    exact = logits.detach().double().requires_grad_()
    expected = textbook(exact, 0.37)
    assert pixels_off(actual, expected, (shape[2], shape[3])) < 1e-4
    (found,), (wanted,) = gradient(actual, logits), gradient(expected, exact)
    assert relative_rmse(found, wanted) < 2e-6
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", FOLDED)
def test_coordinates_are_those_of_contiguous_maps(
    device: torch.device, shape: tuple[int, ...]
) -> None:
    logits = channels_last(shape, device)
    difference = soft_argmax(logits) - soft_argmax(logits.contiguous())
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("shape", [(2, 20, 6, 8), (1, 6, 8, 48)])
def test_half_precision_is_rounded_only_at_its_ends(
    device: torch.device, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    logits = channels_last(shape, device).to(dtype).requires_grad_()
    actual = soft_argmax(logits)
    exact = logits.detach().double().requires_grad_()
    expected = textbook(exact)
    torch.testing.assert_close(actual, expected.float(), atol=2e-6, rtol=0)
    (found,), (wanted,) = gradient(actual, logits), gradient(expected, exact)
    assert found.dtype == dtype
    assert relative_rmse(found, wanted) < 4e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_map_without_an_answer_is_nan_and_leaves_the_others_alone(
    device: torch.device, value: float
) -> None:
    logits = channels_last((2, 20, 6, 8), device)
    expected = soft_argmax(logits)
    logits[1, 7] = value
    found = soft_argmax(logits)
    assert found[1, 7].isnan().all()
    others = torch.ones(2, 20, dtype=torch.bool, device=device)
    others[1, 7] = False
    assert torch.equal(found[others], expected[others])


def test_large_logits_do_not_overflow(device: torch.device) -> None:
    logits = torch.full((1, 20, 4, 8), -1e4, device=device)
    logits = logits.contiguous(memory_format=torch.channels_last)
    logits[0, :, 3, 1] = 1e4
    assert (soft_argmax(logits) - torch.tensor([1.5 / 8, 3.5 / 4], device=device)).abs().max() == 0


def test_the_loss_of_stacks_takes_them_and_writes_one_gradient(device: torch.device) -> None:
    shape = (2, 20, 6, 8)
    stacks = [channels_last(shape, device) + index for index in range(3)]
    target = torch.rand(2, 20, 2, device=device)
    leaves = [maps.clone().requires_grad_() for maps in stacks]
    plain = [maps.contiguous().requires_grad_() for maps in stacks]
    found, expected = soft_argmax_loss(leaves, target), soft_argmax_loss(plain, target)
    torch.testing.assert_close(found[1], expected[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0], expected[0])
    for mine, theirs in zip(
        torch.autograd.grad(found[0], leaves), torch.autograd.grad(expected[0], plain), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-7, rtol=1e-4)
