"""Compile every kernel ahead of time, without a GPU: `python -m sesame_kernels.aot`.

Each launcher runs on tensors without storage while its launches are recorded, so the compiled
kernels (types, tiles, warps, alignments) are those of production. Prints one line per kernel and
exits with 1 if one spills registers or needs more shared memory than a block can have.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from sesame_kernels.dispatch import implementation
from sesame_kernels.machine_code import SHARED_LIMITS, Resources, resources_of

__all__ = ["Launch", "Report", "compile_launch", "fault_of", "main", "recorded_launches"]

_DEFAULT = ("sm_80", "sm_90", "sm_100")
_MODULES = (
    "soft_argmax",
    "strided_soft_argmax",
    "soft_argmax_l1",
    "linear_soft_argmax",
    "linear_soft_argmax_backward",
    "masked_mse",
    "noise_mask",
    "sums",
)
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
    options: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """One kernel on one architecture; `fault` is empty if it can run as intended."""

    arch: str
    inputs: str
    kernel: str
    resources: Resources
    fault: str


def recorded_launches(arch: str) -> list[Launch]:
    """The launches of all ops on `arch`, forward and backward, at the sizes of a training step."""
    launches: list[Launch] = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            layout = "nhwc" if memory_format == torch.channels_last else "nchw"
            with _recording(arch, f"{_POINTEES[dtype]} {layout}", launches):
                _run_all(dtype, memory_format)
    return _without_repeats(launches)


def _run_all(dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    def fused(name: str, *args: Any) -> Any:
        return implementation(name, "cuda")(*args)

    def images(*shape: int) -> torch.Tensor:
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        return tensor.contiguous(memory_format=memory_format)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
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
            name: (value.dtype,) if isinstance(value, torch.Tensor) else value
            for name, value in launch.arguments.items()
        }
        key = (launch.kernel.__name__, str(arguments), str(launch.options))
        kept.setdefault(key, launch)
    return list(kept.values())


@contextmanager
def _recording(arch: str, label: str, launches: list[Launch]) -> Iterator[None]:
    launch: Any = import_module("sesame_kernels.fused.launch")
    was_amd, launch.is_amd = launch.is_amd, arch.startswith("gfx")
    kernels = {id(kernel): kernel for name in _MODULES for kernel in _kernels(name)}.values()
    for kernel in kernels:
        kernel.run = _recorder(label, kernel, launches)
    try:
        yield
    finally:
        launch.is_amd = was_amd
        for kernel in kernels:
            del kernel.run


def _kernels(name: str) -> list[Any]:
    module = vars(import_module(f"sesame_kernels.fused.{name}"))
    return [value for key, value in module.items() if key.endswith("_kernel")]


def _recorder(label: str, kernel: Any, launches: list[Launch]) -> Callable[..., None]:
    def record(*args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        names = [parameter.name for parameter in kernel.params]
        options: dict[str, Any] = {
            key: kwargs.pop(key) for key in ("num_warps", "num_stages") if key in kwargs
        }
        arguments = dict(zip(names, args, strict=False)) | kwargs
        launches.append(Launch(label, kernel, arguments, options))

    return record


def compile_launch(launch: Launch, arch: str) -> Resources:
    """Compile for sm_NN or gfxNNN and read the resources of the machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    target = (
        GPUTarget("hip", arch, 64)
        if arch.startswith("gfx")
        else GPUTarget("cuda", int(arch[3:]), 32)
    )
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
    return resources_of(triton.compile(source, target=target, options=launch.options), arch)


def _kind(parameter: Any, value: Any) -> str:
    """The type for which Triton's launcher would specialise this argument."""
    if isinstance(value, torch.Tensor):
        return "*" + _POINTEES[value.dtype]
    if parameter.is_constexpr or value is None:
        return "constexpr"
    if parameter.annotation_type:
        return parameter.annotation_type
    if value == 1:
        return "constexpr"
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def fault_of(used: Resources, arch: str) -> str:
    """Why a kernel cannot run as intended; empty if it can."""
    faults = []
    if used.spilled:
        faults.append(f"spills {used.spilled} B")
    if used.shared > SHARED_LIMITS[arch]:
        faults.append(f"shared memory above {SHARED_LIMITS[arch]} B")
    return ", ".join(faults)


def _reports(arch: str, share: int, shares: int) -> list[Report]:
    reports = []
    for launch in recorded_launches(arch)[share::shares]:
        used = compile_launch(launch, arch)
        name = launch.kernel.__name__
        reports.append(Report(arch, launch.label, name, used, fault_of(used, arch)))
    return reports


def _line(report: Report) -> str:
    used = report.resources
    return (
        f"{report.arch:7} {report.inputs:9} {report.kernel:30} {used.registers:4} registers "
        f"{used.spilled:5} B spilled {used.shared:7} B shared {used.load_bytes:3} B loads "
        f"{used.matrix_unit:8} {report.fault and 'FAILS: ' + report.fault}"
    ).rstrip()


def _write_json(path: Path, reports: Sequence[Report]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps([asdict(report) for report in reports], indent=1) + "\n")
    os.replace(part, path)


def _arch(text: str) -> str:
    name = f"sm_{text}" if text.isdigit() else text
    if name not in SHARED_LIMITS:
        valid = ", ".join(SHARED_LIMITS)
        raise argparse.ArgumentTypeError(f"unknown architecture {text!r}; valid: {valid}")
    return name


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sesame_kernels.aot", description=__doc__)
    parser.add_argument(
        "--arch", type=_arch, nargs="+", default=_DEFAULT, help=f"of {', '.join(SHARED_LIMITS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1))
    options = parser.parse_args(argv)
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        parser.error("TRITON_INTERPRET is set: interpreted kernels have no machine code; unset it")
    reports = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for arch in options.arch:
            compile_share = partial(_reports, arch, shares=options.jobs)
            for part in pool.map(compile_share, range(options.jobs)):
                reports += part
    reports.sort(key=lambda report: (options.arch.index(report.arch), report.kernel, report.inputs))
    for report in reports:
        print(_line(report))
    if options.json:
        _write_json(options.json, reports)
    return 1 if any(report.fault for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
