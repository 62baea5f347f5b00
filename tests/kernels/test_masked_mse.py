import pytest
import torch
from sesame_kernels import MaskedMSELoss, masked_mse
from torch import Tensor


def equation_2(prediction: Tensor, target: Tensor, mask: Tensor, weight: float) -> Tensor:
    prediction, target, mask = prediction.double(), target.double(), mask.double()
    squares = (target - prediction) ** 2
    return (mask * squares + weight * (1 - mask) * squares).mean()


def loss_and_gradient(function, prediction, target, mask, weight=0.01) -> tuple[Tensor, Tensor]:
    prediction = prediction.detach().requires_grad_()
    loss = function(prediction, target, mask, weight)
    return loss, torch.autograd.grad(3.0 * loss, prediction)[0]


def inputs(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    prediction = torch.randn(shape, generator=generator).to(device)
    target = torch.rand(shape, generator=generator).to(device)
    return prediction, target, torch.rand(shape[0], 1, *shape[2:], generator=generator).to(device)


def assert_agrees(actual: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], rtol: float):
    torch.testing.assert_close(actual[0].double(), expected[0], rtol=2e-6, atol=0)
    torch.testing.assert_close(actual[1].double(), expected[1], rtol=rtol, atol=1e-9)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 3, 7, 5), (1, 1, 48, 64), (3, 5, 33, 40)])
@pytest.mark.parametrize("weight", [0.01, 0.0, 1.0])
def test_agrees_with_float64(device, shape, weight):
    prediction, target, mask = inputs(shape, device)
    actual = loss_and_gradient(masked_mse, prediction, target, mask, weight)
    expected = loss_and_gradient(equation_2, prediction.double(), target, mask, weight)
    assert actual[0].dtype == torch.float32
    assert_agrees(actual, expected, rtol=2e-5)


@pytest.mark.usefixtures("poisoned_memory")
def test_mixed_dtypes_and_layouts(device):
    prediction, target, mask = inputs((2, 3, 9, 12), device)
    prediction = prediction.bfloat16().contiguous(memory_format=torch.channels_last)
    target = target[:1].expand(2, 3, 9, 12)
    mask = mask.transpose(2, 3).contiguous().transpose(2, 3)
    actual = loss_and_gradient(masked_mse, prediction, target, mask)
    expected = loss_and_gradient(equation_2, prediction.double(), target, mask)
    assert actual[1].dtype == torch.bfloat16
    assert actual[1].is_contiguous(memory_format=torch.channels_last)
    assert_agrees(actual, expected, rtol=8e-3)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("step", [1, 2], ids=["whole", "every other sample"])
def test_channels_last_images_in_the_order_of_memory(device, channels, step):
    images = inputs((4, channels, 9, 12), device)
    expected = loss_and_gradient(
        equation_2, images[0][::step].double(), *(t[::step] for t in images[1:])
    )
    last = [each.contiguous(memory_format=torch.channels_last)[::step] for each in images]
    actual = loss_and_gradient(masked_mse, *last)
    assert_agrees(actual, expected, rtol=2e-5)


def test_empty_batch_is_nan_as_in_torch(device):
    prediction, target, mask = inputs((0, 3, 4, 4), device)
    loss, gradient = loss_and_gradient(masked_mse, prediction, target, mask)
    assert loss.isnan()
    assert gradient.shape == prediction.shape


def test_nan_shows(device):
    prediction, target, mask = inputs((1, 3, 6, 6), device)
    prediction[0, 1, 2, 3] = torch.nan
    assert masked_mse(prediction, target, mask).isnan()


def test_repeats_bit_for_bit(device):
    tensors = inputs((3, 3, 40, 40), device)
    first, second = (loss_and_gradient(masked_mse, *tensors) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_gradcheck(device):
    prediction, target, mask = (tensor.double() for tensor in inputs((1, 2, 2, 3), device))
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: masked_mse(p, target, mask), prediction)


def test_module_and_errors():
    prediction, target, mask = inputs((2, 3, 4, 4), torch.device("cpu"))
    loss = masked_mse(prediction, target, mask, 0.1)
    assert torch.equal(MaskedMSELoss(0.1)(prediction, target, mask), loss)
    with pytest.raises(ValueError, match="target must have the prediction's shape"):
        masked_mse(prediction, target[:1], mask)
    with pytest.raises(ValueError, match=r"mask must have shape \[2, 1, 4, 4\]"):
        masked_mse(prediction, target, mask.expand(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"pass target.detach\(\)"):
        masked_mse(prediction, target.requires_grad_(), mask)
