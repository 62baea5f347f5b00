"""The launches of a training step, recorded on tensors without storage."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from sesame_kernels.aot.architectures import is_amd
from sesame_kernels.dispatch import implementation

__all__ = ["LAYOUTS", "POINTEES", "Launch", "kernels", "recorded_launches", "recording"]

POINTEES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.int32: "i32",
    torch.int64: "i64",
}
"""Triton's names of dtypes."""

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}

_MODULES = (
    "soft_argmax",
    "soft_argmax_l1",
    "linear_soft_argmax",
    "linear_soft_argmax_backward",
    "masked_mse",
    "noise_mask",
    "sums",
)
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Launch:
    """One kernel with the arguments of one launch, by parameter name."""

    op: str
    dtype: str
    layout: str
    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, Any]

    @property
    def programs(self) -> int:
        return int(torch.tensor(self.grid).prod())

    def data(self) -> dict[str, Tensor]:
        """The tensors with the most elements, by parameter name."""
        tensors = {k: v for k, v in self.arguments.items() if isinstance(v, Tensor)}
        most = max(tensor.numel() for tensor in tensors.values())
        return {name: tensor for name, tensor in tensors.items() if tensor.numel() == most}


def recorded_launches(arch: str) -> list[Launch]:
    """The launches of all ops on `arch`, forward and backward, at the sizes of a training step."""
    launches: list[Launch] = []
    for dtype in _DTYPES:
        for layout in LAYOUTS:
            with recording(arch) as recorded:
                _run_all(recorded, dtype, layout)
            launches += recorded.launches
    return _without_repeats(launches)


class Recorder:
    """Collects launches under the names that were set last."""

    def __init__(self) -> None:
        self.op = self.dtype = self.layout = ""
        self.launches: list[Launch] = []

    def runner(self, kernel: Any) -> Any:
        """What replaces the kernel's `run`."""

        def record(*args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
            names = [parameter.name for parameter in kernel.params]
            options: dict[str, Any] = {
                key: kwargs.pop(key) for key in ("num_warps", "num_stages") if key in kwargs
            }
            arguments = dict(zip(names, args, strict=False)) | kwargs
            self.launches.append(
                Launch(self.op, self.dtype, self.layout, kernel, grid, arguments, options)
            )

        return record


@contextmanager
def recording(arch: str) -> Iterator[Recorder]:
    """Launches are recorded instead of compiled and run."""
    launch: Any = import_module("sesame_kernels.fused.launch")
    was_amd, launch.is_amd = launch.is_amd, is_amd(arch)
    recorder = Recorder()
    for kernel in kernels():
        kernel.run = recorder.runner(kernel)
    try:
        yield recorder
    finally:
        launch.is_amd = was_amd
        for kernel in kernels():
            del kernel.run


def kernels() -> list[Any]:
    """Every Triton kernel that is launched."""
    modules = [vars(import_module(f"sesame_kernels.fused.{name}")) for name in _MODULES]
    found = [value for names in modules for key, value in names.items() if key.endswith("_kernel")]
    return list({id(kernel): kernel for kernel in found}.values())


def _run_all(recorder: Recorder, dtype: torch.dtype, layout: str) -> None:
    recorder.dtype, recorder.layout = POINTEES[dtype], layout

    def fused(name: str, *args: Any) -> Any:
        recorder.op = name
        return implementation(name, "cuda")(*args)

    def images(*shape: int) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        return tensor.contiguous(memory_format=LAYOUTS[layout])

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    logits = images(32, 98, 64, 64)
    saved = fused("soft_argmax", logits, 1.0, True)
    fused("soft_argmax_backward", saved[0], logits, *saved, 1.0)
    saved = fused("soft_argmax_moments", logits, 1.0)
    fused("soft_argmax_moments_backward", *saved[:2], logits, *saved, 1.0)
    loss, _, unit = fused("soft_argmax_l1", logits, saved[0], empty(32, 98), 1.0, True, True)
    fused("soft_argmax_l1_backward", loss, unit, dtype)
    fused("soft_argmax_l1_rescale_", loss, unit)
    features, weight = images(32, 256, 64, 64), empty(98, 256, dtype=dtype)
    saved = fused("linear_soft_argmax", features, weight, 1.0, True)
    fused("linear_soft_argmax_backward", saved[0], features, weight, *saved, 1.0)
    prediction, mask = images(32, 3, 64, 64), empty(32, 1, 64, 64)
    loss = fused("masked_mse", prediction, prediction, mask, 0.01)
    fused("masked_mse_backward", loss, prediction, prediction, mask, 0.01)
    ids = empty(32, dtype=torch.int64)
    masked, coverage = fused(
        "noise_mask", images(32, 3, 256, 256), empty(32, 9, 2), empty(32, 9), ids, 0, ids, 0.5, 0.25
    )
    fused("noise_mask_backward", masked, coverage)


def _without_repeats(launches: list[Launch]) -> list[Launch]:
    """Kernels that only process sums are the same for all inputs."""
    kept: dict[tuple[str, str, str], Launch] = {}
    for launch in launches:
        arguments = {
            name: (value.dtype,) if isinstance(value, Tensor) else value
            for name, value in launch.arguments.items()
        }
        key = (launch.kernel.__name__, str(arguments), str(launch.options))
        kept.setdefault(key, launch)
    return list(kept.values())
