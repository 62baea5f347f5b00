"""Activation checkpointing: a stack's inner activations are recomputed in its backward pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import MethodType

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sesame_hpc.models.hourglass import Stack, StackedHourglass

__all__ = ["checkpoint_stacks"]


def checkpoint_stacks(network: nn.Module) -> None:
    """Make each stack of `network` keep only its input and features in training, in place.

    Gradients and state are the same, bit for bit. Only the activations of one stack are in memory
    at a time, at the cost of a second forward pass. The state dict does not change. Call it after
    `compile_training`, since compiled code can be recomputed.
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
    """Restore the buffers: the batch-norm statistics include this batch already.

    Checkpointing ends the second pass with an exception once it has all activations.
    """
    buffers = list(module.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
