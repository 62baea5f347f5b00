"""One op at one size, and the providers of it that are compared."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor

__all__ = ["COMPILED", "DIRECTIONS", "OPS", "Case", "Provider", "cases", "runner"]

OPS = (
    "soft_argmax",
    "soft_argmax_distribution",
    "soft_argmax_marginals",
    "soft_argmax_loss",
    "star_loss",
    "linear_soft_argmax",
    "masked_mse",
    "noise_mask",
)
"""Modules of `benchmarks.kernels.ops`."""

COMPILED = "torch.compile"
DIRECTIONS = ("forward", "backward", "both")

Provider = Callable[..., Tensor]


@dataclass(frozen=True)
class Case:
    """One op at one size.

    Attributes:
        inputs: what every provider maps to one tensor; gradients are taken of the first `trained`.
        providers: ours first.
        forward_bytes, backward_bytes: what has to move at the least.
        equal: providers that must give what ours gives, up to `tolerance`.
    """

    op: str
    shape: str
    inputs: tuple[Tensor, ...]
    providers: Mapping[str, Provider]
    forward_bytes: int
    backward_bytes: int
    trained: int = 1
    equal: tuple[str, ...] = ()
    tolerance: float = 1e-5


def cases(op: str, device: torch.device) -> Iterator[Case]:
    """The cases of one of `OPS`."""
    yield from import_module(f"benchmarks.kernels.ops.{op}").cases(device)


def runner(case: Case, provider: str, direction: str) -> Callable[[], object]:
    """What is timed: a provider's forward pass, its backward pass, or both."""
    call = case.providers[provider]
    if direction == "forward":

        def forward() -> object:
            with torch.no_grad():
                return call(*case.inputs)

        return forward

    trained = [tensor.detach().requires_grad_() for tensor in case.inputs[: case.trained]]
    others = case.inputs[case.trained :]
    result = call(*trained, *others)
    grad = torch.ones_like(result)
    if direction == "backward":
        return lambda: torch.autograd.grad(result, trained, grad, retain_graph=True)
    return lambda: torch.autograd.grad(call(*trained, *others), trained, grad)
