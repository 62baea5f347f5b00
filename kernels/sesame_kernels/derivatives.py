"""What each op saves for its derivative, and the op that computes it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sesame_kernels.calls import call
from sesame_kernels.dispatch import implementation

__all__ = ["DERIVATIVES"]


def _soft_argmax_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, ctx.beta, ctx.reuse = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(logits, *output)


def _soft_argmax_grad(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, None, None]:
    if grad is None:
        return None, None, None
    logits, coordinates, statistics = ctx.saved_tensors
    is_softmax = statistics.shape == logits.shape and statistics.dtype == logits.dtype
    if is_softmax and _may_overwrite(ctx, statistics):
        turn = implementation("soft_argmax_backward_", "cpu")
        return turn(grad, coordinates, statistics, ctx.beta), None, None
    arguments = (grad, logits, coordinates, statistics, ctx.beta)
    return call("soft_argmax_backward", *arguments), None, None


def _moments_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, ctx.beta = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(logits, *output)


def _moments_grad(
    ctx: Any, grad: Tensor | None, grad_moments: Tensor | None, _: None
) -> tuple[Tensor | None, None]:
    logits, coordinates, moments, statistics = ctx.saved_tensors
    if grad_moments is None:
        if grad is None:
            return None, None
        arguments = (grad, logits, coordinates, statistics, ctx.beta)
        return call("soft_argmax_backward", *arguments), None
    if grad is None:
        grad = torch.zeros_like(coordinates)
    saved = (logits, coordinates, moments, statistics)
    op = "soft_argmax_moments_backward"
    if moments.shape[2] == 5:
        op = "soft_argmax_distribution_backward"
    return call(op, grad, grad_moments, *saved, ctx.beta), None


def _marginals_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, ctx.beta, ctx.reuse = inputs
    ctx.mark_non_differentiable(output[3])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(logits, *output)


def _marginals_grad(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
    if all(grad is None for grad in grads[:3]):
        return None, None, None
    logits, *results, statistics = ctx.saved_tensors
    upstream = [
        torch.zeros_like(result) if grad is None else grad
        for grad, result in zip(grads, results, strict=False)
    ]
    is_softmax = statistics.shape == logits.shape and statistics.dtype == logits.dtype
    if is_softmax and _may_overwrite(ctx, statistics):
        turn = implementation("soft_argmax_marginals_backward_", "cpu")
        return turn(*upstream, *results, statistics, ctx.beta), None, None
    arguments = (*upstream, logits, *results, statistics, ctx.beta)
    return call("soft_argmax_marginals_backward", *arguments), None, None


def _soft_argmax_loss_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, *_, ctx.with_gradient, ctx.reuse = inputs
    ctx.stacks, ctx.dtype = len(logits), logits[0].dtype
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[2])


def _soft_argmax_loss_grad(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Any, ...]:
    if grad is None:
        return [None] * ctx.stacks, *(None,) * 8
    if not ctx.with_gradient:
        raise RuntimeError("sesame_kernels::soft_argmax_loss was called with with_gradient=False")
    if torch.is_grad_enabled():  # create_graph: the gradient is not connected to the logits
        raise RuntimeError("sesame_kernels::soft_argmax_loss_backward has no derivative of its own")
    (gradient,) = ctx.saved_tensors
    if ctx.dtype == gradient.dtype and _may_overwrite(ctx, gradient):
        call("soft_argmax_loss_rescale_", grad, gradient)
    else:
        gradient = call("soft_argmax_loss_backward", grad, gradient, ctx.dtype)
    batch = gradient.shape[0] // ctx.stacks
    parts = [gradient] if ctx.stacks == 1 else list(gradient.split_with_sizes([batch] * ctx.stacks))
    return parts, *(None,) * 8


def _may_overwrite(ctx: Any, saved: Tensor) -> bool:
    """Whether `saved` is not used after this backward, so that it can become the gradient."""
    is_traced = type(saved) is not Tensor
    return (
        ctx.reuse and not is_traced and not torch._C._autograd._get_current_graph_task_keep_graph()
    )


def _star_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output[1:])


def _star_grad(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 9
    if torch.is_grad_enabled():  # create_graph: the gradients are not connected to the inputs
        raise RuntimeError("sesame_kernels::star_loss_backward has no derivative of its own")
    grad_coordinates, grad_moments = ctx.saved_tensors
    return grad * grad_coordinates, grad * grad_moments, *(None,) * 7


def _linear_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    features, weight, ctx.beta, ctx.reuse = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(features, weight, *output)


def _linear_grad(
    ctx: Any, grad: Tensor | None, _: None
) -> tuple[Tensor | None, Tensor | None, None, None]:
    if grad is None:
        return None, None, None, None
    saved = ctx.saved_tensors
    if saved[3].ndim == 4 and _may_overwrite(ctx, saved[3]):
        turn = implementation("linear_soft_argmax_backward_", "cpu")
        return *turn(grad, *saved, ctx.beta), None, None
    gradients = call("linear_soft_argmax_backward", grad, *saved, ctx.beta)
    return *gradients, None, None


def _masked_mse_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.outside_weight = inputs
    ctx.save_for_backward(*tensors)


def _masked_mse_grad(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
    gradient = call("masked_mse_backward", grad, *ctx.saved_tensors, ctx.outside_weight)
    return gradient, None, None, None


def _noise_mask_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    coverage = output[1]
    ctx.mark_non_differentiable(coverage)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(coverage)


def _noise_mask_grad(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 8
    return call("noise_mask_backward", grad, *ctx.saved_tensors), *(None,) * 7


DERIVATIVES: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
    "soft_argmax": (_soft_argmax_grad, _soft_argmax_setup),
    "soft_argmax_moments": (_moments_grad, _moments_setup),
    "soft_argmax_marginals": (_marginals_grad, _marginals_setup),
    "soft_argmax_distribution": (_moments_grad, _moments_setup),
    "soft_argmax_loss": (_soft_argmax_loss_grad, _soft_argmax_loss_setup),
    "star_loss": (_star_grad, _star_setup),
    "linear_soft_argmax": (_linear_grad, _linear_setup),
    "masked_mse": (_masked_mse_grad, _masked_mse_setup),
    "noise_mask": (_noise_mask_grad, _noise_mask_setup),
}
"""(derivative, what to save) by op."""
