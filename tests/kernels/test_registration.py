"""Every op as the dispatcher, the compiler, the exporter, autocast and CUDA graphs see it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from kernel_inputs import gradient, randn
from sesame_kernels import (
    StarLoss,
    linear_soft_argmax,
    masked_mse,
    noise_mask,
    soft_argmax,
    soft_argmax_distribution,
    soft_argmax_loss,
    soft_argmax_marginals,
)
from torch import Tensor, nn
from torch.library import opcheck
from torch.utils._python_dispatch import TorchDispatchMode

SIZE = (2, 3, 5, 6)


@dataclass(frozen=True)
class Op:
    """The differentiable results of an op, as a function of a trained tensor and of others."""

    call: Callable[..., tuple[Tensor, ...]]
    others: Callable[[torch.device], tuple[Tensor, ...]]


def rand(device: torch.device, *size: int) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(8)).to(device)


def image_and_mask(device: torch.device) -> tuple[Tensor, Tensor]:
    return rand(device, *SIZE), rand(device, 2, 1, 5, 6)


def anchors_sigma_ids(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    return rand(device, 2, 3, 2), rand(device, 2, 3) + 0.1, torch.arange(2, device=device) + 1


OPS = {
    "soft_argmax": Op(lambda z: (soft_argmax(z, 1.5),), lambda device: ()),
    "soft_argmax_moments": Op(
        lambda z: soft_argmax(z, 1.5, second_moments=True), lambda device: ()
    ),
    "soft_argmax_marginals": Op(lambda z: soft_argmax_marginals(z, 1.5), lambda device: ()),
    "soft_argmax_distribution": Op(
        lambda z: soft_argmax_distribution(z, 1.5)[:3], lambda device: ()
    ),
    "star_loss": Op(
        lambda z, t, w: (StarLoss()(z, t, w)[0],),
        lambda device: (rand(device, 2, 3, 2), rand(device, 2, 3)),
    ),
    "soft_argmax_loss": Op(
        lambda z, t, w: soft_argmax_loss(z, t, w)[:1],
        lambda device: (rand(device, 2, 3, 2), rand(device, 2, 3)),
    ),
    "linear_soft_argmax": Op(
        lambda f, w: (linear_soft_argmax(f, w),), lambda device: (rand(device, 4, 3),)
    ),
    "masked_mse": Op(lambda p, t, m: (masked_mse(p, t, m),), image_and_mask),
    "noise_mask": Op(
        lambda x, a, s, ids: noise_mask(x, a, s, ids, 2**40 + 1, ids)[:1], anchors_sigma_ids
    ),
}


def step(op: Op, trained: Tensor, others: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    outputs = op.call(trained, *others)
    return *outputs, *gradient(outputs, trained)


@pytest.fixture(params=list(OPS))
def op(request: pytest.FixtureRequest) -> Op:
    return OPS[request.param]


def trained_tensor(device: torch.device) -> Tensor:
    return randn(SIZE, device, scale=2.0, seed=6).requires_grad_()


def raw_arguments(name: str, device: torch.device) -> tuple:
    """Arguments of the op as it is registered; those of a backward come from its forward."""
    ops = torch.ops.sesame_kernels
    trained, (image, mask) = trained_tensor(device), image_and_mask(device)
    last = trained.detach().contiguous(memory_format=torch.channels_last)
    pairs, weight = rand(device, 2, 3, 2), rand(device, 4, 3)
    anchors, sigma, ids = anchors_sigma_ids(device)
    return {
        "soft_argmax": lambda: (trained, 1.5, False),
        "soft_argmax_backward": lambda: (pairs, last, *ops.soft_argmax(last, 1.5, False), 1.5),
        "soft_argmax_moments": lambda: (trained, 1.5),
        "soft_argmax_moments_backward": lambda: (
            pairs,
            rand(device, 2, 3, 3),
            last,
            *ops.soft_argmax_moments(last, 1.5),
            1.5,
        ),
        "soft_argmax_marginals": lambda: (trained, 1.5, False),
        "soft_argmax_marginals_backward": lambda: (
            pairs,
            rand(device, 2, 3, 6),
            rand(device, 2, 3, 5),
            last,
            *ops.soft_argmax_marginals(last, 1.5, False),
            1.5,
        ),
        "soft_argmax_distribution": lambda: (trained, 1.5),
        "soft_argmax_distribution_backward": lambda: (
            pairs,
            rand(device, 2, 3, 5),
            last,
            *ops.soft_argmax_distribution(last, 1.5),
            1.5,
        ),
        "soft_argmax_loss": lambda: ([trained], pairs, sigma, 1.5, "wing", 0.1, 0.02, True, False),
        "star_loss": lambda: (
            pairs.requires_grad_(),
            rand(device, 2, 3, 3).requires_grad_(),
            rand(device, 2, 3, 2),
            sigma,
            "smooth_l1",
            0.1,
            0.02,
            0.5,
            1e-4,
        ),
        "soft_argmax_loss_backward": lambda: (mask.sum(), last, torch.bfloat16),
        "soft_argmax_loss_rescale_": lambda: (mask.sum(), last),
        "linear_soft_argmax": lambda: (trained, weight.requires_grad_(), 1.5, False),
        "linear_soft_argmax_backward": lambda: (
            rand(device, 2, 4, 2),
            last,
            weight,
            *ops.linear_soft_argmax(last, weight, 1.5, False),
            1.5,
        ),
        "masked_mse": lambda: (last.requires_grad_(), image, mask, 0.01),
        "masked_mse_backward": lambda: (mask.sum(), last, image, mask, 0.01),
        "noise_mask": lambda: (trained, anchors, sigma, ids, 5, ids, 0.5, 0.25),
        "noise_mask_backward": lambda: (last, mask),
    }[name]()


def registered_names() -> list[str]:
    return sorted(
        name.split("::")[1].split(".")[0]
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("sesame_kernels::")
    )


@pytest.mark.parametrize("name", registered_names())
def test_opcheck(device, name):
    opcheck(getattr(torch.ops.sesame_kernels, name).default, raw_arguments(name, device))


@pytest.mark.parametrize("name", [name for name in OPS if name not in ("masked_mse", "star_loss")])
def test_opcheck_of_channels_last_inputs(device, name):
    first, *others = raw_arguments(name, device)
    given = first[0] if isinstance(first, list) else first
    last = given.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    arguments = ([last] if isinstance(first, list) else last, *others)
    opcheck(getattr(torch.ops.sesame_kernels, name).default, arguments)


def test_compiled_without_a_graph_break_equals_eager(device, op):
    trained, others = trained_tensor(device), op.others(device)
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    compiled = torch.compile(op.call, backend=backend, fullgraph=True)
    outputs = compiled(trained, *others)
    for actual, expected in zip(
        (*outputs, *gradient(outputs, trained)), step(op, trained, others), strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)


def test_exports(device, op):
    class Module(nn.Module):
        def forward(self, first: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
            return op.call(first, *others)

    arguments = (trained_tensor(device).detach(), *op.others(device))
    program = torch.export.export(Module(), arguments)
    assert any("sesame_kernels" in str(node.target) for node in program.graph.nodes)
    for actual, expected in zip(program.module()(*arguments), op.call(*arguments), strict=True):
        assert torch.equal(actual, expected)


def test_repeats_bit_for_bit_and_writes_no_input(device, op):
    trained, others = trained_tensor(device), op.others(device)
    before = [tensor.detach().clone() for tensor in (trained, *others)]
    first, second = step(op, trained, others), step(op, trained, others)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for tensor, copy in zip((trained, *others), before, strict=True):
        assert torch.equal(tensor, copy)
        assert tensor._version == 0


@pytest.mark.usefixtures("poisoned_memory")
def test_every_element_is_written(device, op):
    results = step(op, trained_tensor(device), op.others(device))
    assert all(result.isfinite().all() for result in results)


def test_autocast_keeps_results_in_float32_and_gives_the_layer_a_gradient(device, op):
    layer = nn.Conv2d(3, 3, 1).to(device)
    images, others = rand(device, *SIZE), op.others(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        features = layer(images)
        results = op.call(features, *others)
    assert features.dtype == torch.bfloat16
    is_image = results[0].shape == images.shape
    assert all(
        result.dtype == (torch.bfloat16 if is_image else torch.float32) for result in results
    )
    if op is OPS["linear_soft_argmax"]:
        others = (others[0].bfloat16(),)
    for result, expected in zip(results, op.call(features, *others), strict=True):
        assert torch.equal(result, expected)
    assert gradient(results, layer.weight)[0].isfinite().all()


@pytest.mark.parametrize("name", [name for name in OPS if name != "noise_mask"])
def test_second_derivatives_are_refused(device, name):
    op, trained = OPS[name], trained_tensor(device)
    result = op.call(trained, *op.others(device))[0].sum()
    with pytest.raises(RuntimeError, match=r"_backward has no derivative"):
        torch.autograd.grad(result, trained, create_graph=True)[0].sum().backward()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_graph_replays(op):
    device = torch.device("cuda")
    trained, others = trained_tensor(device), op.others(device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(op, trained, others)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(op, trained, others)
    with torch.no_grad():
        trained.copy_(torch.randn_like(trained))
    graph.replay()
    expected = step(op, trained, others)
    assert all(torch.equal(a, b) for a, b in zip(captured, expected, strict=True))


def test_cpu_tensors_need_no_triton():
    code = (
        "import sys; sys.modules['triton'] = None; import torch, sesame_kernels as k;"
        "z = torch.zeros(1, 1, 2, 2); k.soft_argmax(z); k.linear_soft_argmax(z, z[0, 0, :1, :1]);"
        "sys.exit('sesame_kernels.fused' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Recorder(TorchDispatchMode):
    """Keeps the names of the ops that the dispatcher sees."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def test_the_dispatcher_sees_ops_where_something_looks_on(device, op):
    """Else they go past it, with the same bits."""
    trained, others = trained_tensor(device), op.others(device)
    plain = step(op, trained, others)
    with Recorder() as recorder:
        observed = step(op, trained, others)
    assert any(name.startswith("sesame_kernels::") for name in recorder.names)
    assert all(torch.equal(a, b) for a, b in zip(plain, observed, strict=True))


def test_plain_tensors_go_past_the_dispatcher(device, op):
    trained, others = trained_tensor(device), op.others(device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step(op, trained, others)
    names = {event.key for event in profile.key_averages()}
    assert any(name.startswith("aten::") for name in names)
    assert not [
        name for name in names if name.startswith("sesame_kernels::") and "_rescale_" not in name
    ]
