"""What a launch uses of a multiprocessor, from its assembly and its binary."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from torch import Tensor

from sesame_kernels.aot.accesses import Widths, amd_widths, nvidia_widths
from sesame_kernels.aot.architectures import ARCHITECTURES, is_amd
from sesame_kernels.aot.assembly import Instruction, amd_code, nvidia_code, weights
from sesame_kernels.aot.cubins import disassembled, registers_of
from sesame_kernels.aot.launches import STACKS, Launch

__all__ = ["Resources", "fault_of", "is_pinned_compiler", "resources_of"]

_MATRIX_UNITS = {
    "wgmma.mma_async": "wgmma",
    "tcgen05.mma": "tcgen05",
    "mma.sync": "mma",
    "v_mfma": "mfma",
}
_PINNED = "3.7"
_SPILLED_BY_OTHERS = 8
_OTHER_LOOPS = {"noise_mask_kernel": "num_anchors"}
"""The parameter that says how often a loop without accesses to the data runs."""


@dataclass(frozen=True)
class Resources:
    """Of one thread: registers, spilled bytes, instructions. Of one block: shared bytes, barriers.

    `load_bytes` and `store_bytes` are the narrowest accesses of the data, the tensors with the most
    elements; 0 without such an access. `bytes` are those of an element in all tensors of the data
    that are accessed. `instructions` are per element of the data, None where the
    work is matrix products on `matrix_unit`. `occupancy` is in [0, 1].
    """

    registers: int
    spilled: int
    shared: int
    load_bytes: int
    store_bytes: int
    bytes: int
    instructions: float | None
    barriers: float
    occupancy: float
    matrix_unit: str


def resources_of(launches: Sequence[Launch], arch: str) -> list[Resources]:
    """Reads the machine code of launches that are compiled for `arch`."""
    if is_amd(arch):
        return [_resources(launch, arch, _amd_program(launch)) for launch in launches]
    cubins = [launch.binary.machine_code() for launch in launches]
    listings = disassembled(cubins, arch)
    return [
        _resources(launch, arch, _nvidia_program(launch, cubin, listing))
        for launch, cubin, listing in zip(launches, cubins, listings, strict=True)
    ]


@dataclass(frozen=True)
class _Program:
    """What a binary's files say: its text, code, widths of accesses, registers, spilled bytes."""

    text: str
    code: list[Instruction]
    widths: Widths
    registers: int
    spilled: int


def _amd_program(launch: Launch) -> _Program:
    text = launch.binary.text("amdgcn")
    widths = amd_widths(launch.binary.text("llir"), _pointers(launch))
    return _Program(text, amd_code(text), widths, *_amd_registers(text))


def _nvidia_program(launch: Launch, cubin: bytes, listing: str) -> _Program:
    text = launch.binary.text("ptx")
    widths = nvidia_widths(text, _pointers(launch))
    return _Program(text, nvidia_code(listing), widths, *registers_of(cubin))


def _pointers(launch: Launch) -> set[int]:
    """Positions among the parameters of the compiled kernel."""
    names = launch.binary.parameters()
    return {i for i, name in enumerate(names) if isinstance(launch.arguments[name], Tensor)}


def _resources(launch: Launch, arch: str, program: _Program) -> Resources:
    binary, code = launch.binary, program.code
    matrix_unit = next((name for key, name in _MATRIX_UNITS.items() if key in program.text), "")
    warps, shared = binary.metadata.num_warps, binary.metadata.shared
    threads = math.prod(launch.grid) * warps * ARCHITECTURES[arch].lanes
    elements = launch.elements() / threads
    loads = _of_data(program.widths, "loads", launch)
    stores = _of_data(program.widths, "stores", launch)
    other = launch.arguments.get(_OTHER_LOOPS.get(binary.name, ""), 1)
    weight = weights(code, elements, loads, stores, other)
    return Resources(
        program.registers,
        program.spilled,
        shared,
        load_bytes=min(loads[0], default=0),
        store_bytes=min(stores[0], default=0),
        bytes=loads[1] + stores[1],
        instructions=None if matrix_unit else round(sum(weight) / elements, 1),
        barriers=sum(w for w, i in zip(weight, code, strict=True) if i.is_barrier),
        occupancy=ARCHITECTURES[arch].occupancy(program.registers, shared, warps),
        matrix_unit=matrix_unit,
    )


def _of_data(widths: Widths, side: str, launch: Launch) -> tuple[set[int], int]:
    """(widths of the accesses to the data, bytes of an element in all tensors accessed)."""
    data, names = launch.data(), launch.binary.parameters()
    by_position: dict[int, set[int]] = getattr(widths, side)
    accessed = [position for position in by_position if names[position] in data]
    whole = [names[position] for position in accessed if names[position] not in STACKS[1:]]
    element = sum(data[name].element_size() for name in whole)
    return set().union(*(by_position[position] for position in accessed)), element


def is_pinned_compiler() -> bool:
    """Whether this Triton is of the version that the kernels and their budgets were made with."""
    return version("triton").startswith(f"{_PINNED}.")


def fault_of(used: Resources, arch: str) -> str:
    """Why a kernel cannot run as intended; empty if it can.

    Other compilers than the pinned one may spill a register or two.
    """
    faults = []
    if used.spilled > (0 if is_pinned_compiler() else _SPILLED_BY_OTHERS):
        faults.append(f"spills {used.spilled} B")
    limit = ARCHITECTURES[arch].block_shared
    if used.shared > limit:
        faults.append(f"shared memory above {limit} B")
    return ", ".join(faults)


def _amd_registers(text: str) -> tuple[int, int]:
    def number(key: str) -> int:
        return int(re.findall(rf"\.{key}:\s+(\d+)", text)[0])

    return number("vgpr_count"), number("private_segment_fixed_size")
