"""NVIDIA's binaries, read by the tools that Triton brings.

The disassembler takes half a second to start and milliseconds per kernel, so it gets the code of
many kernels in one file, of bare instructions.
"""

import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

__all__ = ["code_of", "disassembled", "registers_of"]

_ADDRESS = re.compile(r"\s*/\*([0-9a-f]{4,})\*/")


def disassembled(cubins: Sequence[bytes], arch: str) -> list[str]:
    """The instructions of the one kernel in each binary for sm_NN.

    Lines start with an address in the file of all, and branches name addresses.
    """
    if not cubins:
        return []
    codes = list(map(code_of, cubins))
    family = "a" if int(arch[3:]) >= 90 else ""  # as Triton compiles
    text = _output("nvdisasm", b"".join(codes), "--binary", f"SM{arch[3:]}{family}")
    ends = list(accumulate(map(len, codes)))
    parts: list[list[str]] = [[] for _ in codes]
    index = 0
    for line in text.split("\n"):
        found = _ADDRESS.match(line)
        while found and int(found[1], 16) >= ends[index]:
            index += 1
        parts[index].append(line)
    return ["\n".join(part) for part in parts]


def code_of(cubin: bytes) -> bytes:
    """The instructions of the one kernel in an ELF file, whose section .text.NAME they are."""
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", cubin, table + i * size) for i in range(count)]
    start = sections[names][4]
    for name, _, _, _, offset, length in sections:
        if cubin[start + name :].startswith(b".text."):
            return cubin[offset : offset + length]
    raise ValueError("no kernel in this binary")


def registers_of(cubin: bytes) -> tuple[int, int]:
    """(registers per thread, bytes that are spilled)."""
    text = _output("cuobjdump", cubin, "--dump-resource-usage")
    usage = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return usage["REG"], usage["STACK"] + usage["LOCAL"]


def _output(name: str, data: bytes, *options: str) -> str:
    """Of one of the tools, on a file of this data."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(data)
        file.flush()
        command = [str(tool), *options, file.name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
