"""The ops as the dispatcher, the compiler, autocast and CUDA graphs see them."""

import subprocess
import sys

import pytest
import torch
from sesame_kernels import MaskedMSELoss, SoftArgmax, masked_mse, noise_mask, soft_argmax
from torch import nn
from torch.library import opcheck


def op_arguments(device: torch.device) -> dict[str, tuple]:
    images = torch.rand(2, 3, 5, 6, device=device)
    mask = torch.rand(2, 1, 5, 6, device=device)
    pairs = torch.rand(2, 3, 2, device=device) + 1
    ids = torch.arange(2, device=device)
    trained = images.clone().requires_grad_()
    last = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    return {
        "soft_argmax": (trained, 1.5),
        "soft_argmax_backward": (pairs, last, pairs, pairs, 1.5),
        "masked_mse": (last, images, mask, 0.01),
        "masked_mse_backward": (mask.sum(), trained, images, mask, 0.01),
        "noise_mask": (trained, pairs, pairs[:, :, 0], ids, 5, ids, 0.5, 0.25),
        "noise_mask_backward": (last, mask),
    }


@pytest.mark.parametrize("name", list(op_arguments(torch.device("cpu"))))
def test_opcheck(device, name):
    op = getattr(torch.ops.sesame_kernels, name).default
    if name.endswith("backward"):
        arguments = tuple(
            a.detach() if isinstance(a, torch.Tensor) else a for a in op_arguments(device)[name]
        )
    else:
        arguments = op_arguments(device)[name]
    opcheck(op, arguments)


def test_compiles_without_a_graph_break(device):
    convolution = nn.Conv2d(3, 4, 1).to(device)

    def step(images, anchors, sigma, counts, ids, seed):
        masked, lam = noise_mask(images, anchors, sigma, counts, seed, ids)
        features = convolution(masked)
        return soft_argmax(features).sum() + masked_mse(features[:, :3], images, lam)

    _, pairs, sigma, ids, _, _, _, _ = op_arguments(device)["noise_mask"]
    arguments = (torch.rand(2, 3, 5, 6, device=device), pairs - 1, sigma, ids, ids)
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for seed in (3, 2**40 + 1):
        expected = torch.autograd.grad(step(*arguments, seed), convolution.weight)[0]
        actual = torch.autograd.grad(compiled(*arguments, seed), convolution.weight)[0]
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)


def test_autocast_leaves_coordinates_and_loss_in_float32(device):
    maps = nn.Conv2d(3, 4, 1).to(device)
    images = torch.rand(2, 3, 8, 8, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits = maps(images)
        coordinates = SoftArgmax()(logits)
        loss = MaskedMSELoss()(logits[:, :3], images, images[:, :1])
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(coordinates, soft_argmax(logits), atol=0, rtol=0)
    assert coordinates.dtype == loss.dtype == torch.float32
    (coordinates.sum() + loss).backward()
    assert maps.weight.grad is not None
    assert maps.weight.grad.isfinite().all()


def test_inputs_are_not_written(device):
    images, pairs, sigma, ids, seed, *_ = op_arguments(device)["noise_mask"]
    before = images.detach().clone()
    versions = [tensor._version for tensor in (images, pairs, sigma, ids)]
    masked, lam = noise_mask(images, pairs, sigma, ids, seed, ids)
    (soft_argmax(images).sum() + masked_mse(images, before, lam) + masked.sum()).backward()
    assert [tensor._version for tensor in (images, pairs, sigma, ids)] == versions
    assert torch.equal(images, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_graph_replays():
    logits = torch.randn(2, 5, 16, 16, device="cuda", requires_grad=True)

    def step():
        coordinates = soft_argmax(logits)
        return coordinates, torch.autograd.grad(coordinates.square().sum(), logits)[0]

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        logits.copy_(torch.randn_like(logits))
    graph.replay()
    expected = step()
    assert all(torch.equal(a, b) for a, b in zip(captured, expected, strict=True))


def test_cpu_tensors_need_no_triton():
    code = (
        "import sys, torch, sesame_kernels as k; k.soft_argmax(torch.zeros(1, 1, 2, 2));"
        "sys.exit('sesame_kernels.fused' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
