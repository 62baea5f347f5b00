import math

import pytest
import torch
from kernel_inputs import LAYOUTS, MAP_SHAPES, layouts, randn, relative_rmse, textbook
from sesame_kernels import Penalty, SoftArgmaxLoss, soft_argmax, soft_argmax_loss
from torch import Tensor
from torch.nn import functional as F

PENALTIES = [Penalty("smooth_l1", width=0.2), Penalty("wing", width=0.2, curvature=0.01)]


def composition(logits: Tensor, target: Tensor, weight: Tensor | None, beta: float):
    coordinates = textbook(logits, beta)
    error = (coordinates - target.double()).abs()
    return (error if weight is None else weight.double()[:, :, None] * error).mean(), coordinates


def wing(errors: Tensor, width: float, curvature: float) -> Tensor:
    """Eq. 5 of Feng et al. as it stands."""
    constant = width - width * math.log(1 + width / curvature)
    near = width * torch.log(1 + errors.abs() / curvature)
    return torch.where(errors.abs() < width, near, errors.abs() - constant)


def penalised(logits: Tensor, target: Tensor, penalty: Penalty) -> tuple[Tensor, Tensor]:
    coordinates = textbook(logits)
    if penalty.name == "smooth_l1":
        return F.smooth_l1_loss(coordinates, target.double(), beta=penalty.width), coordinates
    errors = coordinates - target.double()
    return wing(errors, penalty.width, penalty.curvature).mean(), coordinates


def inputs(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    target = torch.rand((*shape[:2], 2), generator=generator).to(device)
    weight = torch.rand(shape[:2], generator=generator).to(device)
    return randn(shape, device, scale=4.0), target, weight


def loss_and_gradient(function, logits: Tensor, *args, upstream: float = 3.0):
    logits = logits.detach().requires_grad_()
    loss, coordinates = function(logits, *args)
    return loss, coordinates, torch.autograd.grad(upstream * loss, logits)[0]


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [*MAP_SHAPES[1:-1], (1, 2, 80, 72)])
@pytest.mark.parametrize(("beta", "weighted"), [(1.0, False), (0.37, True)])
def test_equals_the_composition_in_float64(device, shape, beta, weighted):
    logits, target, weight = inputs(shape, device)
    arguments = (target, weight if weighted else None, beta)
    loss, coordinates, grad = loss_and_gradient(soft_argmax_loss, logits, *arguments)
    expected, _, expected_grad = loss_and_gradient(composition, logits.double(), *arguments)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0)
    torch.testing.assert_close(coordinates, soft_argmax(logits, beta), atol=1e-7, rtol=0)
    assert relative_rmse(grad, expected_grad) < 3e-6


@pytest.mark.parametrize("layout", [None, "channels_last"])
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.name)
def test_penalties_equal_their_formulas(device, penalty, layout):
    logits, target, _ = inputs((2, 24, 9, 12), device)
    maps = layouts(logits)[layout] if layout else logits
    loss, _, grad = loss_and_gradient(soft_argmax_loss, maps, target, None, 1.0, penalty)
    expected, _, expected_grad = loss_and_gradient(penalised, logits.double(), target, penalty)
    errors = (textbook(logits) - target).abs()
    assert (errors < penalty.width).any()
    assert (errors > penalty.width).any()
    # Near 0 the wing's slope is width / curvature, 20 here, and so much larger is the rounding.
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    assert relative_rmse(grad, expected_grad) < 3e-5


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.name)
def test_gradcheck_of_penalties(device, penalty):
    logits, target, weight = (tensor.double() for tensor in inputs((1, 2, 2, 3), device))
    logits.requires_grad_()
    call = lambda z: soft_argmax_loss(z, target, weight, 0.7, penalty)[0]  # noqa: E731
    assert torch.autograd.gradcheck(call, logits)


def test_wing_keeps_the_digits_of_small_errors(device):
    logits = torch.zeros(1, 1, 8, 8, device=device)
    target = torch.full((1, 1, 2), 0.5 + 1e-6, device=device)
    loss, _ = soft_argmax_loss(logits, target, penalty=Penalty("wing", 0.1, 1.0))
    error = (target.double() - 0.5).abs().mean()
    torch.testing.assert_close(loss.double(), 0.1 * torch.log1p(error), rtol=1e-5, atol=0)


def test_one_dimensional_maps(device):
    """SimCC's heads: one softmax per axis, of [B, K, 1, W]."""
    logits, target, _ = inputs((2, 3, 1, 40), device)
    target[..., 1] = 0.3
    loss, coordinates, grad = loss_and_gradient(soft_argmax_loss, logits, target)
    expected, _, expected_grad = loss_and_gradient(composition, logits.double(), target, None, 1.0)
    torch.testing.assert_close(
        coordinates[..., 1], torch.full_like(target[..., 1], 0.5), atol=1e-7, rtol=0
    )
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0)
    assert relative_rmse(grad, expected_grad) < 3e-6


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device, layout):
    logits, target, weight = inputs((2, 20, 6, 10), device)
    target = target.transpose(0, 1).contiguous().transpose(0, 1)
    expected = loss_and_gradient(composition, logits.double(), target, weight, 1.0)
    actual = loss_and_gradient(soft_argmax_loss, layouts(logits)[layout], target, weight, 1.0)
    torch.testing.assert_close(actual[0].double(), expected[0], rtol=2e-6, atol=0)
    assert relative_rmse(actual[2], expected[2]) < 3e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("upstream", [1.0, 2.0**16])
def test_half_precision_survives_a_small_mean_and_a_loss_scale(device, dtype, upstream):
    logits, target, weight = inputs((2, 3, 8, 8), device)
    logits, weight = logits.to(dtype), weight * 1e-3
    actual = loss_and_gradient(soft_argmax_loss, logits, target, weight, upstream=upstream)
    expected = loss_and_gradient(
        composition, logits.double(), target, weight, 1.0, upstream=upstream
    )
    assert actual[2].dtype == dtype
    if dtype == torch.bfloat16 or upstream > 1.0:
        assert relative_rmse(actual[2], expected[2]) < 6e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_retained_graph_gives_the_same_gradient_again(device, dtype):
    logits, target, weight = inputs((2, 3, 6, 5), device)
    logits = logits.to(dtype).requires_grad_()
    loss, _ = soft_argmax_loss(logits, target, weight)
    gradients = [
        torch.autograd.grad(factor * loss, logits, retain_graph=retain)[0]
        for factor, retain in ((4.0, True), (1.0, True), (4.0, True), (2.0, False))
    ]
    assert torch.equal(gradients[0], gradients[2])
    torch.testing.assert_close(gradients[0], 4.0 * gradients[1])
    torch.testing.assert_close(gradients[3], 2.0 * gradients[1])


def test_gradients_accumulate_and_no_input_is_written(device):
    logits, target, weight = inputs((2, 3, 6, 5), device)
    logits.requires_grad_()
    before = [tensor.detach().clone() for tensor in (logits, target, weight)]
    for factor in (2.0, 1.0, 5.0):
        (factor * soft_argmax_loss(logits, target, weight)[0]).backward()
    expected = loss_and_gradient(composition, logits.double(), target, weight, 1.0, upstream=8.0)
    assert relative_rmse(logits.grad, expected[2]) < 3e-6
    for tensor, copy in zip((logits, target, weight), before, strict=True):
        assert torch.equal(tensor, copy)
        assert tensor._version == 0


def test_coordinates_carry_no_gradient_and_evaluation_writes_none(device):
    logits, target, _ = inputs((2, 3, 6, 5), device)
    loss, coordinates = soft_argmax_loss(logits.requires_grad_(), target)
    assert loss.requires_grad
    assert not coordinates.requires_grad
    with torch.no_grad():
        assert torch.equal(soft_argmax_loss(logits, target)[0], loss)
    op = torch.ops.sesame_kernels.soft_argmax_loss
    assert op([logits.detach()], target, None, 1.0, "l1", 1.0, 1.0, False, True)[2].numel() == 0


def test_an_exact_hit_has_no_slope(device):
    logits = torch.zeros(1, 2, 4, 4, device=device)
    target = torch.full((1, 2, 2), 0.5, device=device)
    loss, _, grad = loss_and_gradient(soft_argmax_loss, logits, target)
    assert loss == 0.0
    assert (grad == 0.0).all()


@pytest.mark.parametrize("place", ["logits", "target", "weight"])
def test_nan_shows(device, place):
    tensors = dict(zip(("logits", "target", "weight"), inputs((2, 3, 6, 5), device), strict=True))
    tensors[place].view(-1)[7 if place == "logits" else 0] = torch.nan
    loss, _, grad = loss_and_gradient(soft_argmax_loss, *tensors.values())
    assert loss.isnan()
    assert grad[0, 0].isnan().all()
    assert grad[0, 1:].isfinite().all()


def test_empty_batch_is_nan_as_in_torch(device):
    logits, target, weight = inputs((0, 3, 4, 4), device)
    loss, coordinates, grad = loss_and_gradient(soft_argmax_loss, logits, target, weight)
    assert loss.isnan()
    assert coordinates.shape == (0, 3, 2)
    assert grad.shape == logits.shape


def test_gradcheck(device):
    logits, target, weight = (tensor.double() for tensor in inputs((1, 2, 2, 3), device))
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soft_argmax_loss(z, target, weight, 0.7)[0], logits)


def test_module_and_errors():
    logits, target, weight = inputs((2, 3, 4, 4), torch.device("cpu"))
    loss = soft_argmax_loss(logits, target, weight, 2.0)[0]
    assert torch.equal(SoftArgmaxLoss(2.0)(logits, target, weight)[0], loss)
    with pytest.raises(ValueError, match=r"target must have shape \[2, 3, 2\]"):
        soft_argmax_loss(logits, target[:, :2])
    with pytest.raises(ValueError, match=r"weight must have shape \[2, 3\]"):
        soft_argmax_loss(logits, target, weight[:, :, None])
    with pytest.raises(ValueError, match="target must be of a floating dtype"):
        soft_argmax_loss(logits, target.int())
    with pytest.raises(ValueError, match="penalty must be one of l1, smooth_l1, wing, got 'l2'"):
        Penalty("l2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"width must be finite and above 0, got 0\.0"):
        Penalty("wing", width=0.0)
    with pytest.raises(ValueError, match=r"pass weight.detach\(\)"):
        soft_argmax_loss(logits, target, weight.requires_grad_())
