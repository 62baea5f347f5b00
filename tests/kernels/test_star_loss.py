import math

import pytest
import torch
from kernel_inputs import randn, relative_rmse
from sesame_kernels import Penalty, StarLoss, soft_argmax, star_loss
from sesame_kernels.reference.star_loss import principal_axes
from torch import Tensor
from torch.nn import functional as F

SMOOTH = Penalty("smooth_l1", width=0.05)


def inputs(
    device: torch.device, shape: tuple[int, int] = (3, 50), dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coordinates, covariances of any direction and shape, target and weight."""
    generator = torch.Generator().manual_seed(4)
    coordinates, target = (torch.rand((*shape, 2), generator=generator) for _ in range(2))
    angle, wide, narrow, weight = (torch.rand(shape, generator=generator) for _ in range(4))
    cosine, sine = torch.cos(math.pi * angle), torch.sin(math.pi * angle)
    wide, narrow = 0.02 * wide + 1e-3, 1e-3 * narrow
    xx = wide * cosine**2 + narrow * sine**2
    yy = wide * sine**2 + narrow * cosine**2
    moments = torch.stack((xx, yy, (wide - narrow) * cosine * sine), -1)
    found = (coordinates, moments, target, weight)
    return tuple(tensor.to(device, dtype) for tensor in found)  # type: ignore[return-value]


def textbook(
    coordinates: Tensor, moments: Tensor, target: Tensor, weight: Tensor, restriction: float
) -> Tensor:
    """With torch.linalg's eigenvectors as constants and eigenvalues v . C v."""
    xx, yy, xy = moments.unbind(-1)
    matrix = torch.stack((xx, xy, xy, yy), -1).unflatten(-1, (2, 2))
    vectors = torch.linalg.eigh(matrix.detach()).eigenvectors.mT
    values = torch.einsum("bkij,bkjl,bkil->bki", vectors, matrix, vectors)
    along = torch.einsum("bkij,bkj->bki", vectors, coordinates - target)
    costs = F.smooth_l1_loss(along, torch.zeros_like(along), beta=0.05, reduction="none")
    total = (costs / (values + 1e-5).sqrt()).sum(-1) + restriction * values.sum(-1)
    return (total * weight).mean()


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("restriction", [1.0, 0.0])
def test_equals_the_textbook_in_float64(device, restriction):
    coordinates, moments, target, weight = inputs(device)
    coordinates.requires_grad_()
    moments.requires_grad_()
    loss = star_loss(coordinates, moments, target, weight, SMOOTH, restriction)
    gradients = torch.autograd.grad(3.0 * loss, (coordinates, moments))
    exact = [tensor.double() for tensor in (coordinates, moments, target, weight)]
    expected = textbook(exact[0], exact[1], exact[2], exact[3], restriction)
    expected_gradients = torch.autograd.grad(3.0 * expected, (coordinates, moments))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    for actual, wanted in zip(gradients, expected_gradients, strict=True):
        assert relative_rmse(actual, wanted) < 1e-4


def test_gradcheck_of_the_coordinates(device):
    coordinates, moments, target, weight = inputs(device, (2, 4), torch.float64)
    call = lambda c: star_loss(c, moments, target, weight, SMOOTH)  # noqa: E731
    assert torch.autograd.gradcheck(call, coordinates.requires_grad_())


def test_gradcheck_of_the_variances_where_the_axes_are_those_of_the_image(device):
    """The eigenvectors, which are taken as constants, are constant there."""
    coordinates, moments, target, weight = inputs(device, (2, 4), torch.float64)
    moments = torch.stack((moments[..., 0] + 0.02, moments[..., 1]), -1).requires_grad_()

    def call(variances: Tensor) -> Tensor:
        full = F.pad(variances, (0, 1))
        return star_loss(coordinates, full, target, weight, SMOOTH, 0.7)

    assert torch.autograd.gradcheck(call, moments)


def test_an_error_along_the_contour_costs_less(device):
    moments = torch.tensor([[[0.01, 0.01, 0.0099]]], device=device)
    zero = torch.zeros(1, 1, 2, device=device)
    along, across = torch.full_like(zero, 0.02), torch.tensor([[[0.02, -0.02]]], device=device)
    assert star_loss(along, moments, zero) < 0.2 * star_loss(across, moments, zero)


@pytest.mark.parametrize("moments", [[0.0, 0.0, 0.0], [0.01, 0.01, 0.0], [0.0, 0.02, 0.0]])
def test_degenerate_covariances_have_finite_gradients(device, moments):
    moments = torch.tensor([[moments]], device=device).requires_grad_()
    coordinates = torch.tensor([[[0.4, 0.7]]], device=device).requires_grad_()
    loss = star_loss(coordinates, moments, torch.full((1, 1, 2), 0.5, device=device))
    assert loss.isfinite()
    for gradient in torch.autograd.grad(loss, (coordinates, moments)):
        assert gradient.isfinite().all()
        assert gradient.any()


def test_axes_are_those_of_linalg():
    _, moments, _, _ = inputs(torch.device("cpu"), (4, 500), torch.float64)
    values, vectors = principal_axes(moments)
    xx, yy, xy = moments.unbind(-1)
    matrix = torch.stack((xx, xy, xy, yy), -1).unflatten(-1, (2, 2))
    expected = torch.linalg.eigvalsh(matrix).flip(-1)
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-15)
    rebuilt = torch.einsum("bki,bkij,bkil->bkjl", values, vectors, vectors)
    torch.testing.assert_close(rebuilt, matrix, rtol=1e-9, atol=1e-15)


def test_from_maps_it_equals_the_composition(device):
    logits = randn((2, 3, 9, 7), device, scale=3.0).requires_grad_()
    _, _, target, weight = inputs(device, (2, 3))
    loss, coordinates = StarLoss(1.3, SMOOTH, 0.5)(logits, target, weight)
    (grad,) = torch.autograd.grad(loss, logits)
    mean, moments = soft_argmax(logits, 1.3, second_moments=True)
    expected = textbook(mean.double(), moments.double(), target, weight, 0.5)
    assert torch.equal(coordinates, mean)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    assert relative_rmse(grad, torch.autograd.grad(expected, logits)[0]) < 1e-4


@pytest.mark.parametrize("place", range(4))
def test_nan_shows(device, place):
    tensors = inputs(device)
    tensors[place][0, 0] = torch.nan
    coordinates, moments, target, weight = tensors
    trained = (coordinates.requires_grad_(), moments.requires_grad_())
    loss = star_loss(coordinates, moments, target, weight)
    assert loss.isnan()
    for gradient in torch.autograd.grad(loss, trained):
        assert gradient[0, 0].isnan().any()
        assert gradient[0, 1:].isfinite().all()


def test_empty_batch_is_nan_as_in_torch(device):
    coordinates, moments, target, weight = inputs(device, (0, 3))
    assert star_loss(coordinates, moments, target, weight).isnan()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": torch.zeros(3, 50)}, r"coordinates must be \[B, K, 2\], got \[3, 50\]"),
        ({"coordinates": torch.zeros(3, 50, 2).half()}, "must be float32 or float64, got"),
        ({"moments": torch.zeros(3, 50, 2)}, r"moments must have shape \[3, 50, 3\]"),
        ({"moments": torch.zeros(3, 50, 3).double()}, "moments are torch.float64, coordinates"),
        ({"target": torch.zeros(3, 50, 3)}, r"target must have shape \[3, 50, 2\]"),
        ({"restriction": -1.0}, "restriction must be finite and at least 0, got -1.0"),
        ({"floor": 0.0}, "floor must be finite and above 0, got 0.0"),
    ],
)
def test_errors(change, message):
    names = ("coordinates", "moments", "target", "weight")
    given = dict(zip(names, inputs(torch.device("cpu")), strict=True))
    with pytest.raises(ValueError, match=message):
        star_loss(**given | change)  # type: ignore[arg-type]
