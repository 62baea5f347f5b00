"""The launches of a training step, on tensors without storage."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sesame_kernels.aot.driver import Binary, without_device
from sesame_kernels.dispatch import implementation

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "OPS",
    "STACKS",
    "Inputs",
    "Launch",
    "compiled_launches",
    "op_calls",
]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STACKS = ("logits", *(f"logits_{index}" for index in range(1, 8)))
"""Parameters that are one tensor in several pieces: the maps of each stack."""

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


_STACKED = "soft_argmax_loss_stacks"


@dataclass(frozen=True)
class Inputs:
    """Of the ops of a training step: dtype and layout by name, and sizes.

    `batch` samples, in each of `stacks` `maps` of `map_side` squared from `channels`, and images of
    `image_side` squared.
    """

    dtype: str
    layout: str
    batch: int = 32
    maps: int = 98
    stacks: int = 4
    channels: int = 256
    map_side: int = 64
    image_side: int = 256

    def images(self, channels: int, side: int) -> Tensor:
        """[batch, channels, side, side] without storage."""
        shape = (self.batch, channels, side, side)
        tensor = torch.empty(shape, dtype=DTYPES[self.dtype], device="meta")
        return tensor.contiguous(memory_format=LAYOUTS[self.layout])


@dataclass(frozen=True)
class Launch:
    """One launch of a compiled kernel, by an op, with the arguments by parameter name."""

    op: str
    inputs: Inputs
    binary: Binary
    grid: tuple[int, int, int]
    arguments: dict[str, Any]

    def data(self) -> dict[str, Tensor]:
        """The tensors with the most elements, by parameter name; all stacks are one tensor."""
        tensors = {k: v for k, v in self.arguments.items() if isinstance(v, Tensor)}
        most = max(tensor.numel() for tensor in tensors.values())
        if sum(tensor.numel() for name, tensor in tensors.items() if name in STACKS) == most:
            return {n: t for n, t in tensors.items() if t.numel() == most or n in STACKS}
        return {name: tensor for name, tensor in tensors.items() if tensor.numel() == most}

    def elements(self) -> int:
        """Of the data."""
        return max(tensor.numel() for tensor in self.data().values())


def compiled_launches(arch: str, inputs: Inputs, only: Sequence[str] | None = None) -> list[Launch]:
    """The launches of all ops, or only of some, forward and backward, compiled for `arch`."""
    launches: list[Launch] = []
    for op, call in op_calls(inputs):
        if only and op not in only:
            continue
        if op == _STACKED and inputs.layout != "contiguous":
            continue  # which launches the kernels of one stack for each

        def keep(
            binary: Binary, grid: tuple[int, int, int], arguments: dict[str, Any], op: str = op
        ) -> None:
            launches.append(Launch(op, inputs, binary, grid, arguments))

        with without_device(arch, keep):
            call()
    return launches


def op_calls(inputs: Inputs) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(op, call of its launcher) for each op of a step."""
    batch, maps, dtype = inputs.batch, inputs.maps, DTYPES[inputs.dtype]

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    def call(op: str, *arguments: Any) -> tuple[str, Callable[[], Any]]:
        return op, lambda: implementation(op, "cuda")(*arguments)

    logits, pairs = inputs.images(maps, inputs.map_side), empty(batch, maps, 2)
    moments, loss = empty(batch, maps, 3), empty()
    yield call("soft_argmax", logits, 1.0, True)
    yield call("soft_argmax_backward", pairs, logits, pairs, pairs, 1.0)
    yield call("soft_argmax_moments", logits, 1.0)
    yield call("soft_argmax_moments_backward", pairs, moments, logits, pairs, moments, pairs, 1.0)
    along = empty(batch, maps, inputs.map_side)
    yield call("soft_argmax_marginals", logits, 1.0, True)
    results = (pairs, along, along)
    yield call("soft_argmax_marginals_backward", *results, logits, *results, pairs, 1.0)
    five = empty(batch, maps, 5)
    yield call("soft_argmax_distribution", logits, 1.0)
    yield call("soft_argmax_distribution_backward", pairs, five, logits, pairs, five, pairs, 1.0)
    labels = (pairs, empty(batch, maps), 1.0, "l1", 0.05, 0.01, True, True)
    yield call("soft_argmax_loss", [logits], *labels)
    yield _STACKED, call("soft_argmax_loss", [logits] * inputs.stacks, *labels)[1]
    unit = torch.empty_like(logits, dtype=torch.float32 if inputs.dtype == "fp16" else dtype)
    yield call("soft_argmax_loss_backward", loss, unit, dtype)
    yield call("soft_argmax_loss_rescale_", loss, unit)
    yield call("star_loss", pairs, moments, pairs, empty(batch, maps), "l1", 0.05, 0.01, 1.0, 1e-5)
    features = inputs.images(inputs.channels, inputs.map_side)
    weight = empty(maps, inputs.channels, dtype=dtype)
    yield call("linear_soft_argmax", features, weight, 1.0, True)
    yield call("linear_soft_argmax_backward", pairs, features, weight, pairs, pairs, 1.0)
    prediction, side = inputs.images(3, inputs.image_side), inputs.image_side
    mask, ids = empty(batch, 1, side, side), empty(batch, dtype=torch.int64)
    yield call("masked_mse", prediction, prediction, mask, 0.01)
    yield call("masked_mse_backward", loss, prediction, prediction, mask, 0.01)
    anchors = (empty(batch, 9, 2), empty(batch, 9), ids)
    yield call("noise_mask", prediction, *anchors, 0, ids, 0.5, 0.25)
    yield call("noise_mask_backward", prediction, mask)


OPS = tuple(op for op, _ in op_calls(Inputs("fp32", "contiguous", batch=1)))
