"""Triton's whole launch path without a device: specialisation, compilation, caches, no launch.

Launchers run unchanged, on tensors of the CPU or without storage. What Triton would load and launch
is handed over instead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from sesame_kernels.aot.architectures import ARCHITECTURES, is_amd

__all__ = ["Binary", "target_of", "without_device"]


@dataclass(frozen=True)
class Binary:
    """A kernel that Triton has compiled or found in its cache, for one set of specialisations.

    `source` has the function (`fn`), the type of each parameter by name (`signature`) and what is
    known of their values; `metadata` has the options, such as warps, and bytes of shared memory.
    """

    source: Any
    metadata: Any

    @property
    def name(self) -> str:
        return self.source.fn.__name__

    def parameters(self) -> list[str]:
        """The names of those that the machine code has: the others are constants."""
        return [name for name, kind in self.source.signature.items() if kind != "constexpr"]

    def text(self, kind: str) -> str:
        """Its `ptx`, `llir` or `amdgcn`."""
        return self._file(kind).read_text()

    def machine_code(self) -> bytes:
        """Its cubin or hsaco."""
        return self._file(
            "hsaco" if self.metadata.target.backend == "hip" else "cubin"
        ).read_bytes()

    def _file(self, kind: str) -> Path:
        from triton.runtime.cache import get_cache_manager

        stem = self.source.name[:150]  # as triton.compile names files
        group = get_cache_manager(self.metadata.hash).get_group(f"{stem}.json")
        return Path(group[f"{stem}.{kind}"])


def target_of(arch: str) -> Any:
    """Triton's target of sm_NN or gfxNNN."""
    from triton.backends.compiler import GPUTarget

    return GPUTarget("hip", arch, 64) if is_amd(arch) else GPUTarget("cuda", int(arch[3:]), 32)


@contextmanager
def without_device(
    arch: str,
    on_launch: Callable[[Binary, tuple[int, int, int], dict[str, Any]], None],
    on_load: Callable[[Binary], None] = lambda binary: None,
) -> Iterator[None]:
    """Within, kernels are compiled for `arch`, and every launch goes to `on_launch`.

    It gets the binary, the grid and all arguments by name. `on_load` gets each binary once, when it
    is loaded. Needs Triton not to be in its interpreter mode (`TRITON_INTERPRET`).
    """
    from triton.runtime import driver

    loaded: set[Any] = set()

    class Launcher:
        def __init__(self, source: Any, metadata: Any) -> None:
            self.binary = Binary(source, metadata)
            self.names = [parameter.name for parameter in source.fn.params]
            loaded.add(source.fn)
            on_load(self.binary)

        def __call__(self, x: int, y: int, z: int, *rest: Any) -> None:
            arguments = rest[-len(self.names) :]
            on_launch(self.binary, (x, y, z), dict(zip(self.names, arguments, strict=True)))

    launch: Any = import_module("sesame_kernels.fused.launch")
    forget_plans: Any = import_module("sesame_kernels.fused.plans").forget_plans
    was = launch.is_amd, launch.block_shared
    launch.is_amd, launch.block_shared = is_amd(arch), ARCHITECTURES[arch].block_shared
    previous = driver._active
    stub = _Driver(arch, Launcher)
    driver.set_active(stub)
    forget_plans()
    try:
        yield
    finally:
        for function in loaded:
            function.device_caches.pop(stub.device, None)
        forget_plans()
        driver.set_active(previous)
        launch.is_amd, launch.block_shared = was


class _Utilities:
    """What Triton asks of a device when it loads a kernel: everything fits."""

    def load_binary(self, *_: Any) -> tuple[int, int, int, int, int]:
        module, function, registers, spills, most_threads = 0, 1, 0, 0, 1024
        return module, function, registers, spills, most_threads

    def unload_module(self, _: int) -> None:
        """Triton calls it from 3.9 on."""

    def get_device_properties(self, _: int) -> dict[str, int]:
        return {"max_shared_mem": 1 << 30}


class _Driver:
    """The part of Triton's driver interface that `JITFunction.run` uses."""

    def __init__(self, arch: str, launcher: type) -> None:
        self.arch = arch
        self.launcher_cls = launcher
        self.utils = _Utilities()
        # Kernels are cached per device; this one's number is that of no real device.
        self.device = object()

    def get_current_device(self) -> Any:
        return self.device

    def get_current_stream(self, _: Any) -> int:
        return 0

    def get_current_target(self) -> Any:
        return target_of(self.arch)

    def get_active_torch_device(self) -> torch.device:
        return torch.device("meta")
