"""How an op is called: through PyTorch's dispatcher only where something there looks on.

The dispatcher takes about three times as long on the host as the launch of a kernel. Compilers,
exporters, fake tensors, modes and transformations need it; plain tensors do not.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from sesame_kernels.dispatch import implementation, runs_reference

__all__ = ["call", "differentiate", "run"]

_OPS = torch.ops.sesame_kernels
_PLAIN = (Tensor, nn.Parameter)
_functions: dict[str, type[Function]] = {}


def call(op: str, *arguments: Any) -> Any:
    """An op on its arguments as of its schema, the first of which is a tensor or a list of them."""
    first = arguments[0]
    is_list = isinstance(first, list)
    if any(map(_is_observed, first)) if is_list else _is_observed(first):
        return getattr(_OPS, op)(*arguments)
    flat = (*first, *arguments[1:]) if is_list else arguments
    if torch.is_grad_enabled() and any(map(_requires_grad, flat)):
        if op not in _functions:
            return getattr(_OPS, op)(*arguments)  # which refuses a second derivative
        if is_list:
            return _functions[op].apply(len(first), *flat)
        return _functions[op].apply(*arguments)
    return run(op, *arguments)


def run(op: str, *arguments: Any) -> Any:
    """The implementation for the device of the first argument, without a derivative."""
    first = arguments[0]
    device = first[0].device if isinstance(first, list) else first.device
    if runs_reference(device):
        with torch.autocast("cpu", enabled=False):
            return implementation(op, "cpu")(*arguments)
    if device.type == "cpu" or torch.cuda.current_device() == device.index:
        return implementation(op, device.type)(*arguments)
    with torch.cuda.device(device):
        return implementation(op, device.type)(*arguments)


def differentiate(
    op: str,
    derivative: Callable[..., Any],
    setup: Callable[..., None],
    *,
    of_list: bool,
) -> None:
    """Give an op its derivative, as `torch.library.register_autograd` takes it.

    PyTorch's functions see no tensors in lists: that of an op whose first argument is a list takes
    the length and the tensors in its place.
    """

    def forward(ctx: Any, *arguments: Any) -> Any:
        if of_list:
            end = 1 + arguments[0]
            arguments = (list(arguments[1:end]), *arguments[end:])
        result = run(op, *arguments)
        setup(ctx, arguments, result)
        return result

    def backward(ctx: Any, *grads: Any) -> Any:
        of_first, *others = derivative(ctx, *grads)
        return None, *of_first, *others

    members = {
        "forward": staticmethod(forward),
        "backward": staticmethod(backward if of_list else derivative),
    }
    _functions[op] = type(op, (Function,), members)


def _requires_grad(argument: Any) -> bool:
    return isinstance(argument, Tensor) and argument.requires_grad


def _is_observed(tensor: Tensor) -> bool:
    """Whether more than the tensor's device has to see a call."""
    return (
        type(tensor) not in _PLAIN
        or not (tensor.is_cuda or tensor.is_cpu)
        or torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.jit.is_tracing()
    )
