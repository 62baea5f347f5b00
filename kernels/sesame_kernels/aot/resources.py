"""What a launch uses of a multiprocessor, from its assembly and its binary."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

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
_WRITTEN_SHARE = 0.25
"""Of the data's elements, from which on a tensor that is stored instead of data counts as such."""


def _tiles(arguments: dict[str, Any]) -> int:
    pixels = min(arguments["PART"], arguments["HEIGHT"] * arguments["WIDTH"])
    return math.ceil(pixels / arguments["PIXELS"])


_OTHER_LOOPS: dict[str, Callable[[dict[str, Any]], int]] = {
    "noise_mask_kernel": lambda arguments: arguments["num_anchors"],
    "linear_soft_argmax_kernel": _tiles,
    "logits_gradient_kernel": _tiles,
}
"""How often a loop that accesses no data runs in a program, by the kernel's arguments."""


@dataclass(frozen=True)
class Resources:
    """Of one thread: registers, spilled bytes, instructions. Of one block: shared bytes, barriers.

    `load_bytes` and `store_bytes` are the narrowest accesses of the data, the tensors with the most
    elements; 0 without such an access. Where no data is stored, stores are those of other
    tensors, but small ones. `bytes` are those of an element in all these tensors.
    `instructions` are per element of the data; of the products on a `matrix_unit` each is one.
    `occupancy` is in [0, 1].
    """

    registers: int
    spilled: int
    shared: int
    load_bytes: int
    store_bytes: int
    bytes: float
    instructions: float
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
    data = launch.data()
    loads = _accesses(program.widths.loads, launch, data)
    stores = _accesses(program.widths.stores, launch, data)
    other = _OTHER_LOOPS.get(binary.name, lambda _: 1)(launch.arguments)
    weight = weights(code, elements, _beside_weights(loads, launch), stores, other)
    if not stores[0]:
        stores = _accesses(program.widths.stores, launch, _stored(program.widths, launch))
    return Resources(
        program.registers,
        program.spilled,
        shared,
        load_bytes=min(loads[0], default=0),
        store_bytes=min(stores[0], default=0),
        bytes=round(loads[1] + stores[1], 2),
        instructions=round(sum(weight) / elements, 1),
        barriers=sum(w for w, i in zip(weight, code, strict=True) if i.is_barrier),
        occupancy=ARCHITECTURES[arch].occupancy(program.registers, shared, warps),
        matrix_unit=matrix_unit,
    )


_Accesses = tuple[set[int], float]
"""(widths, bytes of an element of the data in all tensors that are accessed so)"""


def _stored(widths: Widths, launch: Launch) -> dict[str, Tensor]:
    """The tensors that are stored, but small ones."""
    names, least = launch.binary.parameters(), _WRITTEN_SHARE * launch.elements()
    stored = {names[position]: launch.arguments[names[position]] for position in widths.stores}
    return {name: tensor for name, tensor in stored.items() if tensor.numel() >= least}


def _accesses(
    by_position: dict[int, set[int]], launch: Launch, tensors: dict[str, Tensor]
) -> _Accesses:
    names = launch.binary.parameters()
    accessed = [position for position in by_position if names[position] in tensors]
    element = 0.0
    for name in {names[position] for position in accessed} - set(STACKS[1:]):
        share = 1.0 if name in launch.data() else tensors[name].numel() / launch.elements()
        element += tensors[name].element_size() * share
    return set().union(*(by_position[position] for position in accessed)), element


def _beside_weights(loads: _Accesses, launch: Launch) -> _Accesses:
    """Where a loop loads tiles of a weight as well, as wide as those of the data."""
    if launch.arguments.get("WHOLE", True):
        return loads
    return loads[0], loads[1] * (1 + launch.arguments["MAPS"] / launch.arguments["PIXELS"])


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
