"""The references work on large batches a few samples at a time: nothing of it may show."""

import pytest
import torch
from kernel_inputs import randn, relative_rmse
from sesame_kernels import (
    linear_soft_argmax,
    masked_mse,
    noise_mask,
    soft_argmax,
    soft_argmax_distribution,
    soft_argmax_loss,
    soft_argmax_marginals,
)
from sesame_kernels.reference.chunks import chunks
from torch import Tensor

CPU = torch.device("cpu")
SIZE = (5, 16, 256, 256)


@pytest.mark.parametrize("length", [1, 3, 17, 40])
def test_pieces_hold_each_sample_once_and_are_of_one_length(length):
    batch = torch.empty(length, 300_000, device="meta")
    samples = [sample for rows in chunks(batch) for sample in range(length)[rows]]
    assert samples == list(range(length))
    assert max(rows.stop - rows.start for rows in chunks(batch)) <= max(3, 1 << 22 // 300_000)


def test_small_batches_stay_whole_and_empty_ones_have_no_pieces():
    assert chunks(torch.empty(64, 1 << 16, device="meta")) == [slice(0, 64)]
    assert len(chunks(torch.empty(65, 1 << 16, device="meta"))) == 5
    assert chunks(torch.empty(0, 8, device="meta")) == []


def of_maps(logits: Tensor, _: Tensor) -> Tensor:
    return soft_argmax(logits, 0.7).square().sum()


def of_moments(logits: Tensor, _: Tensor) -> Tensor:
    return soft_argmax(logits, 0.7, second_moments=True)[1].sum()


def of_distribution(logits: Tensor, _: Tensor) -> Tensor:
    found = soft_argmax_distribution(logits, 0.7)
    return (found.entropy + found.moments.sum(2)).sum()


def of_marginals(logits: Tensor, _: Tensor) -> Tensor:
    return torch.cat(soft_argmax_marginals(logits, 0.7), 2).square().sum()


def of_l1(logits: Tensor, _: Tensor) -> Tensor:
    target = torch.full((*logits.shape[:2], 2), 0.4)
    return soft_argmax_loss(logits, target)[0] * len(logits)


def of_head(features: Tensor, weight: Tensor) -> Tensor:
    return linear_soft_argmax(features, weight).square().sum()


def of_mse(images: Tensor, _: Tensor) -> Tensor:
    mask = images.detach()[:, :1].sigmoid()
    return masked_mse(images, torch.zeros_like(images), mask) * len(images)


def of_mask(images: Tensor, _: Tensor) -> Tensor:
    one = torch.ones(len(images), dtype=torch.int64)
    centre, sigma = torch.full((len(images), 1, 2), 0.5), torch.full((len(images), 1), 0.3)
    return noise_mask(images, centre, sigma, one, 3, one)[0].square().mean() * len(images)


@pytest.mark.parametrize(
    "function",
    [of_maps, of_moments, of_distribution, of_marginals, of_l1, of_head, of_mse, of_mask],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_large_batch_is_its_samples(function, memory_format):
    batch = randn(SIZE, CPU).contiguous(memory_format=memory_format)
    weight = randn((16, 16), CPU, scale=0.25)

    def value_and_gradients(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs = samples.detach().requires_grad_(), weight.detach().requires_grad_()
        value = function(*inputs)
        grads = torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
        return value.detach(), *grads

    value, grad, grad_weight = value_and_gradients(batch)
    parts = [value_and_gradients(sample[None]) for sample in batch]
    values, grads, grad_weights = zip(*parts, strict=True)
    torch.testing.assert_close(value, torch.stack(values).sum(), rtol=1e-5, atol=0)
    torch.testing.assert_close(grad_weight, torch.stack(grad_weights).sum(0), rtol=1e-3, atol=1e-7)
    assert relative_rmse(grad, torch.cat(grads)) < 1e-5
