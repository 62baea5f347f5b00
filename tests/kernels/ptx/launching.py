"""Launches on CPU tensors go through Triton's own launch path to the emulator."""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sesame_kernels.aot.driver import Binary, without_device
from sesame_kernels.dispatch import triton_on_cpu
from torch import Tensor

from .execution import program
from .global_memory import Buffer
from .values import DTYPES, Array

__all__ = ["ARCH", "emulated", "launch"]

ARCH = "sm_80"


@contextmanager
def emulated(sectors: Counter[str] | None = None) -> Iterator[None]:
    """Within, the ops run as compiled for sm_80 on tensors of the CPU.

    `sectors` counts those of 32 bytes that the warps touch, by parameter.
    """

    def run(binary: Binary, grid: tuple[int, int, int], arguments: dict[str, Any]) -> None:
        launch(binary.text("ptx"), binary, grid, arguments, sectors)

    with without_device(ARCH, run), triton_on_cpu():
        yield


def launch(
    ptx: str,
    binary: Binary,
    grid: tuple[int, int, int],
    arguments: Mapping[str, Any],
    sectors: Counter[str] | None = None,
) -> None:
    """Run PTX in place of a binary's own, which may be the same."""
    kernel = program(ptx)
    values = [arguments[name] for name in binary.parameters()]
    kinds = [parameter.kind for parameter in kernel.kernel.parameters]
    scratch = [0] * (len(kinds) - len(values))  # pointers that Triton adds and these kernels ignore
    bits = [_bits(value, kind) for value, kind in zip(values + scratch, kinds, strict=True)]
    buffers = {
        value.untyped_storage().data_ptr(): _buffer(name, value)
        for name, value in arguments.items()
        if isinstance(value, Tensor)
    }
    kernel.run(grid, bits, list(buffers.values()), binary.metadata.shared, sectors)


def _buffer(name: str, tensor: Tensor) -> Buffer:
    """The whole storage of a tensor."""
    storage = tensor.untyped_storage()
    data = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    return Buffer(name, storage.data_ptr(), data)


def _bits(value: Tensor | float, kind: str) -> Array:
    """Of an argument, as a parameter of this type."""
    dtype = DTYPES[kind]
    if isinstance(value, Tensor):
        value = value.data_ptr()
    if dtype.kind == "f":
        return np.frombuffer(
            struct.pack({4: "f", 8: "d"}[dtype.itemsize], value), f"u{dtype.itemsize}"
        )[0:1]
    return np.array([int(value) & ((1 << (8 * dtype.itemsize)) - 1)], f"u{dtype.itemsize}")
