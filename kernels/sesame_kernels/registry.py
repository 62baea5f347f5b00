"""The ops as PyTorch sees them: schemas, devices, fakes for the compiler, and derivatives.

CUDA tensors run the Triton kernels (`sesame_kernels.fused`, imported at the first such call), CPU
tensors the reference (`sesame_kernels.reference`). Both packages hold one function per op name.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, register_autograd, register_fake

from sesame_kernels.layout import accumulation_dtype, empty_gradient

__all__ = ["NAMESPACE", "triton_on_cpu"]

NAMESPACE = "sesame_kernels"
_LIBRARY = Library(NAMESPACE, "DEF")
_cpu_package = "reference"


@contextmanager
def triton_on_cpu() -> Iterator[None]:
    """Let CPU tensors run the Triton kernels, for tests with `TRITON_INTERPRET=1`."""
    global _cpu_package
    _cpu_package = "fused"
    try:
        yield
    finally:
        _cpu_package = "reference"


@cache
def _implementation(package: str, name: str) -> Callable[..., Any]:
    return getattr(import_module(f"{NAMESPACE}.{package}"), name)


def _define(schema: str, fake: Callable[..., Any]) -> None:
    name = schema[: schema.index("(")]

    def on_cpu(*args: Any) -> Any:
        return _implementation(_cpu_package, name)(*args)

    def on_cuda(*args: Any) -> Any:
        with torch.cuda.device_of(args[0]):
            return _implementation("fused", name)(*args)

    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _LIBRARY.impl(name, on_cpu, "CPU")
    _LIBRARY.impl(name, on_cuda, "CUDA")
    register_fake(f"{NAMESPACE}::{name}", fake, lib=_LIBRARY)


def _differentiate(name: str, backward: Callable[..., Any], setup: Callable[..., None]) -> None:
    register_autograd(f"{NAMESPACE}::{name}", backward, setup_context=setup, lib=_LIBRARY)


def _refuse_second_derivative(name: str) -> None:
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError(f"{NAMESPACE}::{name} has no derivative of its own")

    register_autograd(f"{NAMESPACE}::{name}", backward, lib=_LIBRARY)


def _soft_argmax_fake(logits: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    shape = (logits.shape[0], logits.shape[1], 2)
    dtype = accumulation_dtype(logits.dtype)
    return logits.new_empty(shape, dtype=dtype), logits.new_empty(shape, dtype=dtype)


def _soft_argmax_backward_fake(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    return empty_gradient(logits)


def _soft_argmax_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, ctx.beta = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(logits, *output)


def _soft_argmax_grad(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, None]:
    if grad is None:
        return None, None
    op = torch.ops.sesame_kernels.soft_argmax_backward
    return op(grad, *ctx.saved_tensors, ctx.beta), None


def _masked_mse_fake(
    prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    return prediction.new_empty((), dtype=accumulation_dtype(prediction.dtype))


def _masked_mse_backward_fake(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    return empty_gradient(prediction)


def _masked_mse_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.outside_weight = inputs
    ctx.save_for_backward(*tensors)


def _masked_mse_grad(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
    op = torch.ops.sesame_kernels.masked_mse_backward
    return op(grad, *ctx.saved_tensors, ctx.outside_weight), None, None, None


def _noise_mask_fake(
    images: Tensor,
    anchors: Tensor,
    sigma: Tensor,
    counts: Tensor,
    seed: int,
    sample_ids: Tensor,
    noise_mean: float,
    noise_std: float,
) -> tuple[Tensor, Tensor]:
    batch, _, height, width = images.shape
    coverage = images.new_empty((batch, 1, height, width), dtype=accumulation_dtype(images.dtype))
    return empty_gradient(images), coverage


def _noise_mask_backward_fake(grad_masked: Tensor, coverage: Tensor) -> Tensor:
    return empty_gradient(grad_masked)


def _noise_mask_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    coverage = output[1]
    ctx.mark_non_differentiable(coverage)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(coverage)


def _noise_mask_grad(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 8
    op = torch.ops.sesame_kernels.noise_mask_backward
    return op(grad, *ctx.saved_tensors), *(None,) * 7


_define("soft_argmax(Tensor logits, float beta) -> (Tensor, Tensor)", _soft_argmax_fake)
_define(
    "soft_argmax_backward(Tensor grad_coordinates, Tensor logits, Tensor coordinates, "
    "Tensor statistics, float beta) -> Tensor",
    _soft_argmax_backward_fake,
)
_define(
    "masked_mse(Tensor prediction, Tensor target, Tensor mask, float outside_weight) -> Tensor",
    _masked_mse_fake,
)
_define(
    "masked_mse_backward(Tensor grad_loss, Tensor prediction, Tensor target, Tensor mask, "
    "float outside_weight) -> Tensor",
    _masked_mse_backward_fake,
)
_define(
    "noise_mask(Tensor images, Tensor anchors, Tensor sigma, Tensor counts, SymInt seed, "
    "Tensor sample_ids, float noise_mean, float noise_std) -> (Tensor, Tensor)",
    _noise_mask_fake,
)
_define(
    "noise_mask_backward(Tensor grad_masked, Tensor coverage) -> Tensor",
    _noise_mask_backward_fake,
)
_differentiate("soft_argmax", _soft_argmax_grad, _soft_argmax_setup)
_differentiate("masked_mse", _masked_mse_grad, _masked_mse_setup)
_differentiate("noise_mask", _noise_mask_grad, _noise_mask_setup)
for _name in ("soft_argmax_backward", "masked_mse_backward", "noise_mask_backward"):
    _refuse_second_derivative(_name)
