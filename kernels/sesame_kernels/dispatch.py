"""Which implementation runs an op on a device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from sesame_kernels.aot.architectures import why_too_old

__all__ = ["implementation", "require_ampere", "runs_reference", "triton_on_cpu"]

_cpu_package = "reference"


@contextmanager
def triton_on_cpu() -> Iterator[None]:
    """Run the Triton kernels on CPU tensors, for tests with `TRITON_INTERPRET=1`."""
    global _cpu_package
    _cpu_package = "fused"
    try:
        yield
    finally:
        _cpu_package = "reference"


def runs_reference(device: torch.device) -> bool:
    """Whether tensors of this device run PyTorch rather than Triton."""
    return device.type == "cpu" and _cpu_package == "reference"


def implementation(name: str, device: str) -> Callable[..., Any]:
    """The function of an op: of `sesame_kernels.fused`, imported at the first such call, or of
    `sesame_kernels.reference`."""
    return _function(_cpu_package if device == "cpu" else "fused", name)


def require_ampere(device: str, capability: tuple[int, int]) -> None:
    """RuntimeError for an NVIDIA device that cannot run the Triton kernels."""
    major, minor = capability
    if fault := why_too_old(f"sm_{major}{minor}"):
        raise RuntimeError(f"{device}: {fault}. CPU tensors run everywhere.")


@cache
def _function(package: str, name: str) -> Callable[..., Any]:
    """From the file with the op's name, or with the longest prefix of it that is a file."""
    if package == "fused" and torch.version.hip is None and torch.cuda.is_available():
        require_ampere(torch.cuda.get_device_name(), torch.cuda.get_device_capability())
    words = name.split("_")
    for count in range(len(words), 0, -1):
        module = f"sesame_kernels.{package}.{'_'.join(words[:count])}"
        if find_spec(module) is not None:
            return getattr(import_module(module), name)
    raise ImportError(f"sesame_kernels.{package} has no file for {name}")
