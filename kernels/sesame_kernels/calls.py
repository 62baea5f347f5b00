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
    """An op on its arguments as of its schema, the first of which is a tensor."""
    if _is_observed(arguments[0]):
        return getattr(_OPS, op)(*arguments)
    if torch.is_grad_enabled() and any(map(_requires_grad, arguments)):
        if op in _functions:
            return _functions[op].apply(*arguments)
        return getattr(_OPS, op)(*arguments)  # which refuses a second derivative
    return run(op, *arguments)


def run(op: str, *arguments: Any) -> Any:
    """The implementation for the device of the first argument, without a derivative."""
    first = arguments[0]
    if runs_reference(first.device):
        with torch.autocast("cpu", enabled=False):
            return implementation(op, "cpu")(*arguments)
    with torch.cuda.device_of(first):
        return implementation(op, first.device.type)(*arguments)


def differentiate(op: str, derivative: Callable[..., Any], setup: Callable[..., None]) -> None:
    """Give an op its derivative, as `torch.library.register_autograd` takes it."""

    def forward(ctx: Any, *arguments: Any) -> Any:
        result = run(op, *arguments)
        setup(ctx, arguments, result)
        return result

    members = {"forward": staticmethod(forward), "backward": staticmethod(derivative)}
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
