"""What one multiprocessor has, by architecture.

NVIDIA: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". AMD: "AMD
Instinct MI300 Instruction Set Architecture" and LLVM's "User Guide for AMDGPU Backend".
"""

import re
from dataclasses import dataclass

__all__ = ["ARCHITECTURES", "Architecture", "architecture_name", "is_amd", "why_too_old"]


@dataclass(frozen=True)
class Architecture:
    """Limits of a multiprocessor (on AMD a compute unit) and of one block on it.

    `block_shared` and `shared` are bytes of shared memory, of a block and of a multiprocessor;
    `reserved` bytes of each block are the system's. The `registers` of a multiprocessor belong to
    4 partitions, which give them to warps of `lanes` threads in units of 8 per thread.
    """

    block_shared: int
    shared: int
    warps: int
    blocks: int
    registers: int = 65_536
    reserved: int = 1024
    lanes: int = 32

    def occupancy(self, registers: int, shared: int, warps: int) -> float:
        """Warps that can be resident, as a fraction of the most that could.

        Takes registers per thread, and bytes of shared memory and warps per block.
        """
        warp_registers = -(-max(registers, 1) // 8) * 8 * self.lanes
        by_registers = self.registers // 4 // warp_registers * 4 // warps
        by_shared = self.shared // (shared + self.reserved) if shared else self.blocks
        blocks = min(self.blocks, self.warps // warps, by_registers, by_shared)
        return blocks * warps / self.warps


ARCHITECTURES = {
    "sm_80": Architecture(block_shared=166_912, shared=167_936, warps=64, blocks=32),
    "sm_86": Architecture(block_shared=101_376, shared=102_400, warps=48, blocks=16),
    "sm_89": Architecture(block_shared=101_376, shared=102_400, warps=48, blocks=24),
    "sm_90": Architecture(block_shared=232_448, shared=233_472, warps=64, blocks=32),
    "sm_100": Architecture(block_shared=232_448, shared=233_472, warps=64, blocks=32),
    "sm_120": Architecture(block_shared=101_376, shared=102_400, warps=48, blocks=24),
    "gfx942": Architecture(65_536, 65_536, 32, 16, registers=131_072, reserved=0, lanes=64),
}

_BEFORE_AMPERE = {"sm_70": 98_304, "sm_72": 98_304, "sm_75": 65_536}
"""Bytes of shared memory per block; 49152 before Volta."""


def is_amd(arch: str) -> bool:
    return arch.startswith("gfx")


def why_too_old(arch: str) -> str:
    """Why the kernels cannot run on sm_NN; empty if they can."""
    if is_amd(arch) or int(arch[3:]) >= 80:
        return ""
    shared = _BEFORE_AMPERE.get(arch, 49_152)
    return (
        f"{arch} cannot run the kernels: it has {shared} bytes of shared memory per block and no "
        "bfloat16 or asynchronous copies; they need sm_80 or newer"
    )


def architecture_name(text: str) -> str:
    """`80` or `sm_80` -> `sm_80`.

    Raises:
        ValueError: for an architecture for which the kernels are not made.
    """
    name = f"sm_{text}" if text.isdigit() else text
    valid = ", ".join(ARCHITECTURES)
    if re.fullmatch(r"sm_\d+", name) and (fault := why_too_old(name)):
        raise ValueError(f"{fault}; valid: {valid}")
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {text!r}; valid: {valid}")
    return name
