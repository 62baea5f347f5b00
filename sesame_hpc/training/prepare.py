"""Compilation and activation checkpointing, applied to a network before the engine wraps it."""

import shutil

import torch
from torch import nn

from sesame_hpc.choices import CompileUnit
from sesame_hpc.config import RuntimeConfig
from sesame_hpc.models.checkpointing import checkpoint_stacks
from sesame_hpc.models.compiling import compile_training

__all__ = ["compiled_unit", "prepare_network"]


def compiled_unit(runtime: RuntimeConfig, device: torch.device) -> CompileUnit | None:
    """The unit of compilation; None if nothing is compiled.

    `auto` compiles regions on CUDA where there is a C compiler, which Triton needs. Raises
    ValueError for CUDA graphs on another device.
    """
    if runtime.compile == "none":
        return None
    if runtime.compile == "auto":
        has_compiler = any(map(shutil.which, ("cc", "gcc", "clang")))
        return "regions" if device.type == "cuda" and has_compiler else None
    if runtime.compile == "graphs" and device.type != "cuda":
        raise ValueError("runtime.compile is graphs, which needs a GPU; use regions, whole or none")
    return runtime.compile


def prepare_network(network: nn.Module, runtime: RuntimeConfig, device: torch.device) -> None:
    """Compile and checkpoint as `runtime` says, in place; the state dict stays as it is."""
    unit = compiled_unit(runtime, device)
    if unit is not None:
        compile_training(network, unit)
    if runtime.activation_checkpointing:
        checkpoint_stacks(network)
