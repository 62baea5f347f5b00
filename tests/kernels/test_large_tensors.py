"""Tensors of more than 2^31 elements, whose last sample must come out as if it were alone."""

import pytest
import torch
from sesame_kernels import linear_soft_argmax, masked_mse, noise_mask, soft_argmax, soft_argmax_loss
from torch import Tensor

GIGABYTE = 1 << 30

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.cuda.mem_get_info()[1] < 40 * GIGABYTE,
        reason="no CUDA device with 40 GB",
    ),
]


def many(channels: int, side: int = 64) -> Tensor:
    """[B, channels, side, side] in bfloat16, the fewest samples with over 2^31 elements."""
    batch = 2**31 // (channels * side * side) + 2
    images = torch.zeros(batch, channels, side, side, dtype=torch.bfloat16, device="cuda")
    images[-2:] = torch.randn(2, channels, side, side, device="cuda")
    return images


def last_gradient(function, images: Tensor) -> tuple[Tensor, Tensor]:
    """The function's result for the last sample, and the gradient of that."""
    images = images.detach().requires_grad_()
    result = function(images)[-1]
    return result.detach(), torch.autograd.grad(result.float().sum(), images)[0][-1].clone()


def assert_same_alone(function, images: Tensor) -> None:
    for actual, expected in zip(
        last_gradient(function, images), last_gradient(function, images[-1:]), strict=True
    ):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("channels_last", [False, True])
def test_soft_argmax(channels_last):
    logits = many(98)
    if channels_last:
        logits = logits.contiguous(memory_format=torch.channels_last)
    assert_same_alone(lambda z: soft_argmax(z), logits)
    assert_same_alone(lambda z: torch.cat(soft_argmax(z, second_moments=True), 2), logits)


def test_soft_argmax_loss():
    logits = many(98)
    target = torch.full((*logits.shape[:2], 2), 0.25, device="cuda")
    coordinates = soft_argmax_loss(logits, target)[1]
    assert torch.equal(coordinates[-1:], soft_argmax(logits[-1:]))


def test_linear_soft_argmax():
    weight = torch.randn(98, 256, device="cuda", dtype=torch.bfloat16) / 16
    assert_same_alone(lambda f: linear_soft_argmax(f, weight), many(256))


def test_masked_mse():
    prediction = many(3, 256)
    target, mask = torch.zeros_like(prediction), torch.ones_like(prediction[:, :1])
    prediction.requires_grad_()
    loss = masked_mse(prediction, target, mask)
    gradient = torch.autograd.grad(loss * prediction.numel(), prediction)[0]
    expected = prediction.detach()[-2:].float().square().sum() / prediction.numel()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(gradient[-1], 2 * prediction.detach()[-1])


def test_noise_mask():
    images = many(3, 256)
    batch = len(images)
    anchors = torch.full((batch, 1, 2), 0.5, device="cuda")
    sigma = torch.full((batch, 1), 0.2, device="cuda")
    ids = torch.arange(batch, device="cuda")
    counts = torch.ones(batch, dtype=torch.int32, device="cuda")
    masked, lam = noise_mask(images, anchors, sigma, counts, 7, ids)
    alone = noise_mask(images[-1:], anchors[-1:], sigma[-1:], counts[-1:], 7, ids[-1:])
    assert torch.equal(masked[-1:], alone[0])
    assert torch.equal(lam[-1:], alone[1])
