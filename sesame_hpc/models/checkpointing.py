"""Activation checkpointing: a stack's inner activations are made again for its backward pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import MethodType

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sesame_hpc.models.hourglass import Stack, StackedHourglass

__all__ = ["checkpoint_stacks"]


def checkpoint_stacks(network: nn.Module) -> None:
    """Let each stack of `network` keep only its input and features in training, in place.

    The same gradients and the same state, bit for bit, for the activations of one stack at a time
    instead of all, and a second forward pass. The state dict stays as it is. Comes after
    `compile_training`, since what is made again may be compiled code.
    """
    for module in network.modules():
        if isinstance(module, StackedHourglass):
            for stack in module.stacks:
                assert isinstance(stack, Stack)
                inner = stack.map_features.__func__  # type: ignore[attr-defined]
                stack.map_features = MethodType(_recomputed(inner), stack)  # type: ignore[method-assign]


def _recomputed(inner: Callable[[Stack, Tensor], Tensor]) -> Callable[[Stack, Tensor], Tensor]:
    def call(self: Stack, x: Tensor) -> Tensor:
        if not self.training:
            return inner(self, x)
        features = checkpoint(
            inner,
            self,
            x,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _same_buffers(self)),
            preserve_rng_state=False,
        )
        assert isinstance(features, Tensor)
        return features

    return call


@contextmanager
def _same_buffers(module: nn.Module) -> Iterator[None]:
    """Batch-norm statistics have counted this batch already: put them back.

    Checkpointing ends the second pass by an exception as soon as it has all it needs.
    """
    buffers = list(module.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
