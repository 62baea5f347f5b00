"""What a launch uses of a multiprocessor, from its assembly and its binary."""

import math
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sesame_kernels.aot.accesses import Widths, amd_widths, nvidia_widths
from sesame_kernels.aot.architectures import ARCHITECTURES, is_amd
from sesame_kernels.aot.assembly import amd_code, nvidia_code, weights
from sesame_kernels.aot.launches import Launch

__all__ = ["Resources", "fault_of", "resources_of"]

_MATRIX_UNITS = {
    "wgmma.mma_async": "wgmma",
    "tcgen05.mma": "tcgen05",
    "mma.sync": "mma",
    "v_mfma": "mfma",
}
_OTHER_LOOPS = {"noise_mask_kernel": "num_anchors"}
"""The parameter that says how often a loop without accesses to the data runs."""


@dataclass(frozen=True)
class Resources:
    """Of one thread: registers, spilled bytes, instructions. Of one block: shared bytes, barriers.

    `load_bytes` and `store_bytes` are the narrowest accesses of the data, the tensors with the most
    elements; 0 without such an access. `instructions` are per element of the data, None where the
    work is matrix products on `matrix_unit`. `occupancy` is in [0, 1].
    """

    registers: int
    spilled: int
    shared: int
    load_bytes: int
    store_bytes: int
    instructions: float | None
    barriers: float
    occupancy: float
    matrix_unit: str


def resources_of(launch: Launch, arch: str) -> Resources:
    """Reads the machine code of a launch that is compiled for `arch`."""
    binary, data = launch.binary, launch.data()
    names = binary.parameters()
    pointers = {i for i, name in enumerate(names) if isinstance(launch.arguments[name], Tensor)}
    if is_amd(arch):
        text = binary.text("amdgcn")
        registers, spilled = _amd_registers(text)
        code, widths = amd_code(text), amd_widths(binary.text("llir"), pointers)
    else:
        text, cubin = binary.text("ptx"), binary.machine_code()
        registers, spilled = _nvidia_registers(cubin)
        code = nvidia_code(_nvidia_tool("nvdisasm", cubin, "-c"))
        widths = nvidia_widths(text, pointers)
    matrix_unit = next((name for key, name in _MATRIX_UNITS.items() if key in text), "")

    warps, shared = binary.metadata.num_warps, binary.metadata.shared
    threads = math.prod(launch.grid) * warps * ARCHITECTURES[arch].lanes
    elements = next(iter(data.values())).numel() / threads
    loads = _of_data(widths, "loads", launch, names)
    stores = _of_data(widths, "stores", launch, names)
    other = launch.arguments.get(_OTHER_LOOPS.get(binary.name, ""), 1)
    weight = weights(code, elements, loads, stores, other)
    return Resources(
        registers,
        spilled,
        shared,
        load_bytes=min(loads[0], default=0),
        store_bytes=min(stores[0], default=0),
        instructions=None if matrix_unit else round(sum(weight) / elements, 1),
        barriers=sum(w for w, i in zip(weight, code, strict=True) if i.is_barrier),
        occupancy=ARCHITECTURES[arch].occupancy(registers, shared, warps),
        matrix_unit=matrix_unit,
    )


def _of_data(widths: Widths, side: str, launch: Launch, names: list[str]) -> tuple[set[int], int]:
    """(widths of the accesses to the data, bytes of an element in all tensors accessed)."""
    data = launch.data()
    by_position: dict[int, set[int]] = getattr(widths, side)
    accessed = [position for position in by_position if names[position] in data]
    element = sum(data[names[position]].element_size() for position in accessed)
    return set().union(*(by_position[position] for position in accessed)), element


def fault_of(used: Resources, arch: str) -> str:
    """Why a kernel cannot run as intended; empty if it can."""
    faults = []
    if used.spilled:
        faults.append(f"spills {used.spilled} B")
    limit = ARCHITECTURES[arch].block_shared
    if used.shared > limit:
        faults.append(f"shared memory above {limit} B")
    return ", ".join(faults)


def _nvidia_tool(name: str, cubin: bytes, *options: str) -> str:
    """The output of one of the tools that Triton brings, on a binary."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), *options, file.name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _nvidia_registers(cubin: bytes) -> tuple[int, int]:
    text = _nvidia_tool("cuobjdump", cubin, "--dump-resource-usage")
    usage = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return usage["REG"], usage["STACK"] + usage["LOCAL"]


def _amd_registers(text: str) -> tuple[int, int]:
    def number(key: str) -> int:
        return int(re.findall(rf"\.{key}:\s+(\d+)", text)[0])

    return number("vgpr_count"), number("private_segment_fixed_size")
