"""Compile every kernel ahead of time, without a GPU: `python -m sesame_kernels.aot --arch 90`.

Each launcher runs on tensors without storage while its launches are recorded, so what is compiled
here (types, tiles, warps, alignments) is what production launches. Prints one line per kernel and
exits with 1 if one spills registers or needs more shared memory than a block can have.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

__all__ = ["Launch", "Resources", "compile_launch", "main", "recorded_launches"]

SHARED_LIMITS = {80: 166_912, 90: 232_448, 100: 232_448}
"""Bytes of shared memory that one block can have, by compute capability."""

_MODULES = ("soft_argmax", "masked_mse", "noise_mask")
_POINTEES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.int32: "i32",
    torch.int64: "i64",
}


@dataclass(frozen=True)
class Launch:
    """One kernel with the arguments of one launch, by parameter name."""

    label: str
    kernel: Any
    arguments: dict[str, Any]
    warps: int


@dataclass(frozen=True)
class Resources:
    """What one thread (registers, spilled and local bytes) and one block (shared bytes) use."""

    registers: int
    stack: int
    shared: int


def recorded_launches() -> list[Launch]:
    """The launches of all ops, forward and backward, at the sizes of a training step."""
    launches: list[Launch] = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            label = (
                f"{_POINTEES[dtype]} {'nhwc' if memory_format == torch.channels_last else 'nchw'}"
            )
            with _recording(label, launches):
                _run_all(dtype, memory_format)
    return launches


def _run_all(dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    fused = import_module("sesame_kernels.fused")

    def images(*shape: int) -> torch.Tensor:
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        return tensor.contiguous(memory_format=memory_format)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    logits = images(32, 98, 64, 64)
    coordinates, statistics = fused.soft_argmax(logits, 1.0)
    fused.soft_argmax_backward(coordinates, logits, coordinates, statistics, 1.0)
    prediction, mask = images(32, 3, 64, 64), empty(32, 1, 64, 64)
    loss = fused.masked_mse(prediction, prediction, mask, 0.01)
    fused.masked_mse_backward(loss, prediction, prediction, mask, 0.01)
    ids = empty(32, dtype=torch.int64)
    masked, coverage = fused.noise_mask(
        images(32, 3, 256, 256), empty(32, 9, 2), empty(32, 9), ids, 0, ids, 0.5, 0.25
    )
    fused.noise_mask_backward(masked, coverage)


@contextmanager
def _recording(label: str, launches: list[Launch]) -> Iterator[None]:
    kernels = [kernel for name in _MODULES for kernel in _kernels(name)]
    for kernel in kernels:
        kernel.run = _recorder(label, kernel, launches)
    try:
        yield
    finally:
        for kernel in kernels:
            del kernel.run


def _kernels(name: str) -> list[Any]:
    module = vars(import_module(f"sesame_kernels.fused.{name}"))
    return [value for key, value in module.items() if key.endswith("_kernel")]


def _recorder(label: str, kernel: Any, launches: list[Launch]) -> Callable[..., None]:
    def record(*args: Any, grid: Any, warmup: bool, num_warps: int = 4, **kwargs: Any) -> None:
        names = [parameter.name for parameter in kernel.params]
        arguments = dict(zip(names, args, strict=False)) | kwargs
        launches.append(Launch(label, kernel, arguments, num_warps))

    return record


def compile_launch(launch: Launch, capability: int) -> Resources:
    """Compile for sm_<capability> and read the resources of the machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature: dict[str, str] = {}
    constants: dict[tuple[int], Any] = {}
    attributes: dict[tuple[int], list[list[Any]]] = {}
    for parameter in launch.kernel.params:
        value = launch.arguments[parameter.name]
        kind = _kind(parameter, value)
        signature[parameter.name] = kind
        if kind == "constexpr":
            constants[(parameter.num,)] = value
        elif isinstance(value, torch.Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(parameter.num,)] = [["tt.divisibility", 16]]
    source = ASTSource(launch.kernel, signature, constants, attributes)
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": launch.warps})
    registers, stack = _machine_resources(compiled.asm["cubin"])
    return Resources(registers, stack, compiled.metadata.shared)


def _kind(parameter: Any, value: Any) -> str:
    """The type under which Triton's launcher would specialise this argument."""
    if isinstance(value, torch.Tensor):
        return "*" + _POINTEES[value.dtype]
    if parameter.is_constexpr:
        return "constexpr"
    if parameter.annotation_type:
        return parameter.annotation_type
    if value == 1:
        return "constexpr"
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _machine_resources(cubin: bytes) -> tuple[int, int]:
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [tool, "--dump-resource-usage", file.name], check=True, capture_output=True, text=True
        ).stdout
    usage = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return usage["REG"], usage["STACK"] + usage["LOCAL"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sesame_kernels.aot", description=__doc__)
    parser.add_argument("--arch", type=int, nargs="+", choices=sorted(SHARED_LIMITS), default=[90])
    options = parser.parse_args(argv)
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        parser.error("TRITON_INTERPRET is set: interpreted kernels have no machine code; unset it")
    failures = 0
    for capability in options.arch:
        for launch in recorded_launches():
            used = compile_launch(launch, capability)
            is_bad = used.stack > 0 or used.shared > SHARED_LIMITS[capability]
            failures += is_bad
            print(
                f"sm_{capability} {launch.label:9} {launch.kernel.__name__:28} "
                f"{used.registers:4} registers {used.stack:5} B stack {used.shared:7} B shared"
                f"{'  FAILS' if is_bad else ''}"
            )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
