"""Compiling a recorded launch for an architecture, as Triton's launcher would."""

from typing import Any

import torch

from sesame_kernels.aot.architectures import is_amd
from sesame_kernels.aot.launches import POINTEES, Launch

__all__ = ["compile_launch", "parameters", "target"]


def target(arch: str) -> Any:
    """Triton's target of sm_NN or gfxNNN."""
    from triton.backends.compiler import GPUTarget

    return GPUTarget("hip", arch, 64) if is_amd(arch) else GPUTarget("cuda", int(arch[3:]), 32)


def compile_launch(launch: Launch, arch: str) -> Any:
    """Triton's compiled kernel."""
    import triton
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
        elif _is_aligned(parameter, value):
            attributes[(parameter.num,)] = [["tt.divisibility", 16]]
    source = ASTSource(launch.kernel, signature, constants, attributes)
    return triton.compile(source, target=target(arch), options=launch.options)


def parameters(launch: Launch) -> list[str]:
    """The names of the parameters that the compiled kernel has."""
    return [
        parameter.name
        for parameter in launch.kernel.params
        if _kind(parameter, launch.arguments[parameter.name]) != "constexpr"
    ]


def _kind(parameter: Any, value: Any) -> str:
    """The type for which Triton's launcher would specialise this argument."""
    if isinstance(value, torch.Tensor):
        return "*" + POINTEES[value.dtype]
    if parameter.is_constexpr or value is None:
        return "constexpr"
    if parameter.annotation_type:
        return parameter.annotation_type
    if value == 1 and not parameter.do_not_specialize:
        return "constexpr"
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _is_aligned(parameter: Any, value: Any) -> bool:
    """Whether the launcher promises the compiler a multiple of 16."""
    if isinstance(value, torch.Tensor):
        return value.is_meta or value.data_ptr() % 16 == 0
    if parameter.do_not_specialize or parameter.do_not_specialize_on_alignment:
        return False
    return isinstance(value, int) and value % 16 == 0
