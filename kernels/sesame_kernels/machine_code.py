"""The resources of a compiled kernel, from its assembly and its binary."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["SHARED_LIMITS", "Resources", "resources_of"]

SHARED_LIMITS = {"sm_80": 166_912, "sm_90": 232_448, "sm_100": 232_448, "gfx942": 65_536}
"""Bytes of shared memory that one block can have, by architecture."""

_MATRIX_UNITS = {
    "wgmma.mma_async": "wgmma",
    "tcgen05.mma": "tcgen05",
    "mma.sync": "mma",
    "v_mfma": "mfma",
}
_LOAD_WIDTHS = {"b": 1, "short": 2, "dword": 4, "dwordx2": 8, "dwordx3": 12, "dwordx4": 16}


@dataclass(frozen=True)
class Resources:
    """Resources of one thread (registers, spilled bytes) and one block (shared bytes).

    `load_bytes` is the widest load from global memory by one thread; `matrix_unit` is the
    instruction of matrix products, empty if there is none.
    """

    registers: int
    spilled: int
    shared: int
    load_bytes: int
    matrix_unit: str


def resources_of(compiled: Any, arch: str) -> Resources:
    """The resources of a kernel as `triton.compile` returns it."""
    shared = compiled.metadata.shared
    if arch.startswith("gfx"):
        text = compiled.asm["amdgcn"]
        return Resources(*_amd_registers(text), shared, _amd_load_bytes(text), _matrix_unit(text))
    text = compiled.asm["ptx"]
    registers, spilled = _nvidia_registers(compiled.asm["cubin"])
    return Resources(registers, spilled, shared, _nvidia_load_bytes(text), _matrix_unit(text))


def _matrix_unit(text: str) -> str:
    return next((name for mnemonic, name in _MATRIX_UNITS.items() if mnemonic in text), "")


def _nvidia_load_bytes(ptx: str) -> int:
    loads = re.findall(r"ld\.global\S*?(?:\.v(\d))?\.[bufs](\d+)\b", ptx)
    widths = [int(count or 1) * int(bits) // 8 for count, bits in loads]
    copies = re.findall(r"cp\.async\.c[ag]\.shared\.global[^;]*?, 0x([0-9a-f]+)", ptx)
    widths += [int(width, 16) for width in copies]
    return max(widths, default=0)


def _nvidia_registers(cubin: bytes) -> tuple[int, int]:
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


def _amd_load_bytes(text: str) -> int:
    kinds = re.findall(r"(?:global|buffer)_load_(dwordx?\d?|short|b)", text)
    return max((_LOAD_WIDTHS[kind] for kind in kinds), default=0)


def _amd_registers(text: str) -> tuple[int, int]:
    def number(key: str) -> int:
        return int(re.findall(rf"\.{key}:\s+(\d+)", text)[0])

    return number("vgpr_count"), number("private_segment_fixed_size")
