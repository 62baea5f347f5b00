# mypy: disable-error-code="arg-type, call-overload"
"""Arguments of another type or out of range: ValueError with what is wrong and what is valid."""

import numpy as np
import pytest
import torch
from sesame_kernels import (
    LinearSoftArgmax,
    MaskedMSELoss,
    Penalty,
    SoftArgmax,
    SoftArgmaxLoss,
    StarLoss,
    gaussian_divergence,
    linear_soft_argmax,
    masked_mse,
    noise_mask,
    soft_argmax,
    soft_argmax_distribution,
    soft_argmax_loss,
    soft_argmax_marginals,
    star_loss,
)

LOGITS = torch.zeros(2, 5, 8, 8)
TARGET, WEIGHT = torch.zeros(2, 5, 2), torch.ones(2, 5)
IMAGES, MASK = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
ANCHORS = (torch.zeros(2, 4, 2), torch.ones(2, 4), torch.tensor([4, 2]))
IDS = torch.tensor([1, 2])
NAN, INF = float("nan"), float("inf")


def divergence(sigma=0.1, size=(8, 8)):
    return gaussian_divergence(soft_argmax_distribution(LOGITS), TARGET, sigma, size)


def noise(seed=0, mean=0.5, std=0.25):
    return noise_mask(IMAGES, *ANCHORS, seed, IDS, mean, std)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: soft_argmax([1]), "logits must be a torch.Tensor, got list"),
        (lambda: soft_argmax(LOGITS.numpy()), "logits must be a torch.Tensor, got ndarray"),
        (lambda: soft_argmax_marginals(None), "logits must be a torch.Tensor, got NoneType"),
        (lambda: soft_argmax_loss(LOGITS, None), "target must be a torch.Tensor, got NoneType"),
        (lambda: soft_argmax_loss(LOGITS, TARGET, 2), "weight must be a torch.Tensor, got int"),
        (lambda: linear_soft_argmax(IMAGES, None), "weight must be a torch.Tensor"),
        (lambda: masked_mse(IMAGES, IMAGES, 1.0), "mask must be a torch.Tensor, got float"),
        (lambda: noise_mask(IMAGES, 0, *ANCHORS[1:], 0, IDS), "anchors must be a torch.Tensor"),
        (lambda: star_loss(None, None, TARGET), "coordinates must be a torch.Tensor"),
        (lambda: gaussian_divergence(LOGITS, TARGET, 0.1, (8, 8)), "distribution must be that of"),
        (lambda: soft_argmax(LOGITS, "x"), "beta must be a number, got 'x'"),
        (lambda: soft_argmax(LOGITS, INF), "beta must be finite and above 0, got inf"),
        (lambda: soft_argmax_distribution(LOGITS, NAN), "beta must be finite and above 0, got nan"),
        (lambda: SoftArgmax(-1), "beta must be finite and above 0, got -1"),
        (lambda: soft_argmax_loss(LOGITS, TARGET, penalty="l1"), "penalty must be a Penalty"),
        (lambda: SoftArgmaxLoss(penalty="wing"), "penalty must be a Penalty"),
        (lambda: Penalty("wing", width="a"), "width must be a number, got 'a'"),
        (lambda: StarLoss(restriction=-1), "restriction must be finite and at least 0, got -1"),
        (lambda: StarLoss(floor="a"), "floor must be a number"),
        (lambda: LinearSoftArgmax(0, 5), "channels and landmarks must be at least 1"),
        (lambda: LinearSoftArgmax(4, -5), "channels and landmarks must be at least 1"),
        (lambda: MaskedMSELoss(-1), "outside_weight must be finite and at least 0, got -1"),
        (lambda: masked_mse(IMAGES, IMAGES, MASK, NAN), "outside_weight must be finite"),
        (lambda: masked_mse(IMAGES, IMAGES, MASK, "a"), "outside_weight must be a number"),
        (lambda: noise(seed=1.5), "seed must be an integer in .*got 1.5"),
        (lambda: noise(seed="a"), "seed must be an integer in .*got 'a'"),
        (lambda: noise(std=-1.0), "noise_std must be finite and at least 0, got -1"),
        (lambda: noise(mean=NAN), "noise_mean must be finite, got nan"),
        (lambda: divergence(sigma="a"), "sigma must be a number"),
        (lambda: divergence(size=8), "size must be .*got 8"),
        (lambda: divergence(size="ab"), "size must be .*got 'ab'"),
        (lambda: divergence(size=(0, 8)), "size must be .*got .0, 8"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_of_other_kinds_are_numbers():
    logits = torch.linspace(-1, 1, LOGITS.numel()).view_as(LOGITS)
    assert torch.equal(soft_argmax(logits, np.float32(2)), soft_argmax(logits, 2.0))
    images = torch.full_like(IMAGES, 0.5)
    errors = [masked_mse(images, IMAGES, MASK, weight) for weight in (1, np.float64(1), 1.0)]
    assert errors[0] == errors[1] == errors[2] > 0
    masked, lam = noise(mean=-1, std=0)
    torch.testing.assert_close(masked, -lam.expand_as(masked))
    sizes = (LOGITS.shape[2:], [8, 8], (8, 8))
    found = [divergence(size=size) for size in sizes]
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[2])
