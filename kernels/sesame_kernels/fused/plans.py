"""Launches whose grid, integers and constants are worked out once.

They depend on the shapes, strides and dtypes of an op's tensors, and so does the binary that Triton
chooses, but for the alignment of pointers. Choosing it takes Triton several times as long as
launching it, so a plan remembers the one for tensors aligned to 16 bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor
from triton import knobs
from triton.runtime import JITFunction, driver

__all__ = ["Plan", "forget_plans", "launch", "planned"]

_MOST_PLANS = 1024
_plans: dict[tuple[Any, ...], Any] = {}

Planned = TypeVar("Planned")


@dataclass
class Plan:
    """How a kernel is launched: after its tensors come `integers`, then scalars, then `constants`.

    `constants` are in the order of the kernel's parameters, and may have Triton's options, such as
    num_warps, behind them.
    """

    kernel: Any
    grid: tuple[int, ...]
    integers: tuple[int, ...]
    constants: dict[str, Any]
    _binaries: dict[Any, tuple[Any, tuple[Any, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._blocks = (*self.grid, 1, 1)[:3]

    def launch(self, tensors: tuple[Tensor | None, ...], scalars: tuple) -> None:
        """`scalars` are those that Triton does not specialise kernels on."""
        arguments = (*tensors, *self.integers, *scalars)
        if not isinstance(self.kernel, JITFunction):
            self.kernel[self.grid](*arguments, **self.constants)  # by Triton's interpreter
            return
        pointers = 0
        for tensor in tensors:
            if tensor is not None:
                pointers |= tensor.data_ptr()
        active = driver.active
        device = active.get_current_device()
        remembered = self._binaries.get(device) if pointers % 16 == 0 else None
        if remembered is None:
            binary = self.kernel[self.grid](*arguments, **self.constants)
            if pointers % 16 == 0 and binary is not None:  # None where a hook of Triton's refuses
                names = self.kernel.arg_names[len(arguments) :]
                self._binaries[device] = binary, tuple(self.constants[name] for name in names)
            return
        binary, values = remembered
        stream = active.get_current_stream(device)
        on_enter = knobs.runtime.launch_enter_hook
        metadata = on_enter and binary.launch_metadata(self.grid, stream, *arguments, *values)
        binary.run(
            *self._blocks,
            stream,
            binary.function,
            binary.packed_metadata,
            metadata,
            on_enter,
            knobs.runtime.launch_exit_hook,
            *arguments,
            *values,
        )


def planned(
    plan: Callable[..., Planned], tensors: tuple[Tensor | None, ...], *settings: Any
) -> Planned:
    """What `plan(*tensors, *settings)` returns, as it was for tensors like these before."""
    kinds = [None if each is None else (each.dtype, each.shape, each.stride()) for each in tensors]
    key = (plan, settings, *kinds)
    found = _plans.get(key)
    if found is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        found = _plans[key] = plan(*tensors, *settings)
    return found


def launch(
    plan: Callable[..., Plan], tensors: tuple[Tensor | None, ...], scalars: tuple, *settings: Any
) -> None:
    """Launch what `plan(*tensors, *settings)` returns, as it was for tensors like these before."""
    planned(plan, tensors, *settings).launch(tensors, scalars)


def forget_plans() -> None:
    """Where what they depend on changes: the device of `sesame_kernels.aot`."""
    _plans.clear()
