"""`torch.compile` of a network in training mode: as a whole or by regions, these as CUDA graphs."""

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

import torch
from torch import nn

from sesame_hpc.choices import CompileUnit
from sesame_hpc.models.hourglass import StackedHourglass

__all__ = ["compile_training"]


def compile_training(network: nn.Module, unit: CompileUnit) -> None:
    """Compile the training mode of `network`, in place; compilation happens at the first call.

    The state dict does not change, nor does evaluation, whose last batch may be smaller. Regions
    are the stem and each stack up to its features: stacks share compiled code, so the time to
    compile does not grow with their number. `graphs` replays each region as CUDA graphs, forward
    and backward, instead of launching its kernels one by one.

    A graph break raises at the first call.
    """
    mode = "reduce-overhead" if unit == "graphs" else None
    for module, name in _methods(network, unit):
        eager = getattr(type(module), name)
        compiled = torch.compile(eager, fullgraph=True, dynamic=False, mode=mode)
        setattr(module, name, MethodType(_in_training(compiled, eager), module))


def _methods(network: nn.Module, unit: CompileUnit) -> Iterator[tuple[nn.Module, str]]:
    """Modules with the name of the method to compile."""
    backbones = [each for each in network.modules() if isinstance(each, StackedHourglass)]
    if unit == "whole" or not backbones:
        yield network, "forward"
        return
    for backbone in backbones:
        yield backbone.stem, "forward"
        for stack in backbone.stacks:
            yield stack, "map_features"


def _in_training(compiled: Callable[..., Any], eager: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: nn.Module, *inputs: Any) -> Any:
        return compiled(self, *inputs) if self.training else eager(self, *inputs)

    return call
