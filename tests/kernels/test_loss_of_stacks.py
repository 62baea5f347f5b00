"""`soft_argmax_loss` of the maps of several stacks, in one call."""

import os

import pytest
import torch
from kernel_inputs import layouts, randn, relative_rmse
from sesame_kernels import Penalty, SoftArgmaxLoss, soft_argmax_loss
from sesame_kernels.aot.driver import without_device
from sesame_kernels.dispatch import triton_on_cpu
from torch import Tensor

SHAPE = (2, 3, 6, 5)


def inputs(device: torch.device, stacks: int, shape: tuple[int, ...] = SHAPE):
    """(maps of each stack, target, weight)."""
    maps = [randn(shape, device, scale=3.0, seed=seed) for seed in range(stacks)]
    labels = torch.rand(*shape[:2], 3, generator=torch.Generator().manual_seed(5)).to(device)
    return maps, labels[..., :2].contiguous(), labels[..., 2].contiguous()


def gradients(loss: Tensor, maps: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(3.0 * loss, maps)


def assert_equals_separate_calls(maps, target, weight, **settings) -> None:
    maps = [each.detach().requires_grad_() for each in maps]
    loss, coordinates = soft_argmax_loss(maps, target, weight, **settings)
    found = gradients(loss, maps)
    results = [soft_argmax_loss(each, target, weight, **settings) for each in maps]
    expected = torch.stack([each for each, _ in results]).mean()
    torch.testing.assert_close(loss, expected, rtol=2e-6, atol=0)
    torch.testing.assert_close(coordinates, torch.stack([each for _, each in results]))
    for ours, theirs, each in zip(found, gradients(expected, maps), maps, strict=True):
        assert ours.dtype == each.dtype
        assert ours.shape == each.shape
        assert relative_rmse(ours, theirs) < (3e-6 if each.dtype == torch.float32 else 6e-3)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("stacks", [1, 2, 4, 9])
def test_is_the_mean_of_the_stacks(device, stacks):
    assert_equals_separate_calls(*inputs(device, stacks))


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("layout", ["channels_last", "sliced"])
def test_layouts(device, layout):
    maps, target, _ = inputs(device, 3, (2, 4, 6, 5))
    maps = [layouts(each)[layout] for each in maps]
    penalty = Penalty("wing", 0.2, 0.05)
    assert_equals_separate_calls(maps, target, None, beta=0.7, penalty=penalty)


def test_stacks_of_different_layouts(device):
    maps, target, weight = inputs(device, 3)
    maps[1] = layouts(maps[1])["channels_last"]
    assert_equals_separate_calls(maps, target, weight)


def test_maps_of_more_than_a_tile(device):
    maps, target, weight = inputs(device, 2, (1, 1, 80, 72))
    assert_equals_separate_calls(maps, target, weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(device, dtype):
    maps, target, weight = inputs(device, 2)
    assert_equals_separate_calls([each.to(dtype) for each in maps], target, weight)


def test_gradcheck(device):
    maps, target, weight = inputs(device, 2, (1, 2, 2, 3))
    maps = [each.double().requires_grad_() for each in maps]
    call = lambda *z: soft_argmax_loss(z, target.double(), weight.double(), 0.7)[0]  # noqa: E731
    assert torch.autograd.gradcheck(call, maps)


def test_one_stack_may_be_without_a_gradient(device):
    maps, target, _ = inputs(device, 2)
    maps[1].requires_grad_()
    soft_argmax_loss(maps, target)[0].backward()
    assert maps[0].grad is None
    alone = maps[1].detach().requires_grad_()
    (soft_argmax_loss(alone, target)[0] / 2).backward()
    assert relative_rmse(maps[1].grad, alone.grad) < 3e-6


def test_a_retained_graph_gives_the_same_gradients_again(device):
    maps, target, _ = inputs(device, 2)
    maps = [each.requires_grad_() for each in maps]
    loss, _ = soft_argmax_loss(maps, target)
    first = torch.autograd.grad(loss, maps, retain_graph=True)
    second = torch.autograd.grad(loss, maps)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_compiled_without_a_graph_break_and_opcheck(device):
    maps, target, weight = inputs(device, 2)
    maps = [each.requires_grad_() for each in maps]
    settings = (1.5, "wing", 0.1, 0.02, True, False)
    torch.library.opcheck(
        torch.ops.sesame_kernels.soft_argmax_loss.default, (maps, target, weight, *settings)
    )
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    compiled = torch.compile(soft_argmax_loss, backend=backend, fullgraph=True)
    for function in (soft_argmax_loss, compiled):
        loss, _ = function(maps, target, weight)
        found = gradients(loss, maps)
        expected = gradients(soft_argmax_loss(maps, target, weight)[0], maps)
        assert all(map(torch.equal, found, expected))


@pytest.mark.ptx
@pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="TRITON_INTERPRET is 1: make test-ptx"
)
@pytest.mark.parametrize(
    ("stacks", "launches"), [(1, 1), (4, 1), (8, 1), (9, 2)], ids=lambda each: str(each)
)
def test_one_launch_for_up_to_eight_stacks(stacks, launches):
    names: list[str] = []
    maps, target, weight = inputs(torch.device("cpu"), stacks)
    with without_device("sm_90", lambda binary, *_: names.append(binary.name)), triton_on_cpu():
        soft_argmax_loss(maps, target, weight)
    assert names == ["soft_argmax_loss_kernel"] * launches + ["mean_kernel"]


def test_module_and_errors():
    maps, target, weight = inputs(torch.device("cpu"), 2)
    expected = soft_argmax_loss(maps, target, weight)[0]
    assert torch.equal(SoftArgmaxLoss()(tuple(maps), target, weight)[0], expected)
    with pytest.raises(ValueError, match="a list of at least one, got an empty list"):
        soft_argmax_loss([], target)
    with pytest.raises(ValueError, match="logits must be a tensor or a list of at least one, got"):
        soft_argmax_loss(iter(maps), target)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"logits\[1\] must have shape \[2, 3, 6, 5\]"):
        soft_argmax_loss([maps[0], maps[1][:1]], target)
    with pytest.raises(ValueError, match=r"logits\[1\] is torch.float64, logits\[0\] torch"):
        soft_argmax_loss([maps[0], maps[1].double()], target)
    with pytest.raises(ValueError, match=r"logits\[0\] must be a torch.Tensor"):
        soft_argmax_loss([None, maps[0]], target)  # type: ignore[list-item]
