"""How wide the loads and stores of each tensor are, from the code before the last compiler.

NVIDIA: PTX, whose vector widths the assembler keeps. AMD: LLVM IR. An address is traced back to the
pointers among the kernel's parameters through every instruction but loads.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Widths", "amd_widths", "nvidia_widths"]

_PTX_TYPE_BITS = re.compile(r"\.[bufs](\d+)$")
_LLVM_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}


@dataclass
class Widths:
    """Bytes of each thread's loads and stores in global memory, by the pointer's position.

    Positions are those among the parameters of the compiled kernel.
    """

    loads: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    stores: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))


@dataclass(frozen=True)
class _Access:
    address: str
    bytes: int
    is_store: bool


def nvidia_widths(ptx: str, pointers: set[int]) -> Widths:
    """From the PTX of a kernel whose parameters at these positions are pointers."""
    flows: list[tuple[list[str], list[str]]] = []
    origins: dict[str, set[int]] = defaultdict(set)
    accesses = []
    for opcode, operands in _ptx_instructions(ptx):
        parts = opcode.split(".")
        for name in re.findall(r"\w+_param_\d+", " ".join(operands)):
            origins[name] |= {int(name.rpartition("_")[2])} & pointers
        if parts[0] == "ld" and parts[1] == "param":  # of a parameter, or of one that is chosen
            flows.append(([operands[0]], re.findall(r"%\w+|\w+_param_\d+", operands[1])))
        elif parts[:2] in (["ld", "global"], ["st", "global"]):
            is_store = parts[0] == "st"
            (address,) = re.findall(r"%\w+", operands[0 if is_store else 1])
            accesses.append(_Access(address, _ptx_bytes(opcode), is_store))
        elif opcode.startswith("cp.async.c"):
            (address,) = re.findall(r"%\w+", operands[1])
            accesses.append(_Access(address, int(operands[2], 0), is_store=False))
        elif parts[0] not in ("ld", "ldmatrix", "atom") and operands:
            of_operands = (re.findall(r"%\w+|\w+_param_\d+", each) for each in operands[1:])
            sources = [name for names in of_operands for name in names]
            flows.append((re.findall(r"%\w+", operands[0]), sources))
    return _widths(flows, origins, accesses)


def _ptx_instructions(ptx: str) -> Iterator[tuple[str, list[str]]]:
    """(opcode, operands); braces and brackets hold an operand together."""
    body = re.sub(r"//[^\n]*", "", ptx[ptx.index(".entry") :])
    for statement in re.split(r"[;\n]", body[body.index("{") + 1 :]):
        if found := re.match(r"\s*(?:@!?%\w+\s+)?([a-z][\w.:]*)\s+(.*)", statement):
            operands = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s{}\[\]]+", found[2])
            yield found[1], operands


def _ptx_bytes(opcode: str) -> int:
    vector = re.search(r"\.v(\d)", opcode)
    bits = _PTX_TYPE_BITS.search(opcode)
    assert bits is not None, opcode
    return int(vector[1] if vector else 1) * int(bits[1]) // 8


def amd_widths(llvm_ir: str, pointers: set[int]) -> Widths:
    """From the LLVM IR of a kernel whose parameters at these positions are pointers."""
    ((head, body),) = re.findall(r"define amdgpu_kernel void @\w+(.*) \{\n(.*?)\n\}", llvm_ir, re.S)
    origins: dict[str, set[int]] = defaultdict(set)
    for position, name in enumerate(re.findall(r"(%[\w.]+)[,)]", head)):
        origins[name] |= {position} & pointers
    flows, accesses = [], []
    for line in body.split("\n"):
        text = line.split(", !dbg")[0]
        found = re.match(r"\s+(?:(%[\w.]+) = )?(.*)", text)
        if not found:
            continue
        result, operation = found[1], found[2]
        if access := _llvm_access(operation):
            accesses.append(access)
        elif result and not re.match(r"(tail )?(load|call .*raw\.ptr\.buffer\.load)", operation):
            flows.append(([result], re.findall(r"%[\w.]+", operation)))
    return _widths(flows, origins, accesses)


def _llvm_access(operation: str) -> _Access | None:
    if found := re.search(r"\bload (.+?), ptr addrspace\(1\) (%[\w.]+)", operation):
        return _Access(found[2], _llvm_bytes(found[1]), is_store=False)
    if found := re.search(r"\bstore (.+) \S+, ptr addrspace\(1\) (%[\w.]+)", operation):
        return _Access(found[2], _llvm_bytes(found[1]), is_store=True)
    if found := re.search(
        r"call (.+?) @llvm\.amdgcn\.raw\.ptr\.buffer\.load.*?(%[\w.]+)", operation
    ):
        return _Access(found[2], _llvm_bytes(found[1]), is_store=False)
    if found := re.search(
        r"@llvm\.amdgcn\.raw\.ptr\.buffer\.store\S*?\((.+?) %[\w.]+, ptr addrspace\(8\) (%[\w.]+)",
        operation,
    ):
        return _Access(found[2], _llvm_bytes(found[1]), is_store=True)
    return None


def _llvm_bytes(type_name: str) -> int:
    """Of `i32`, `float`, `<8 x i16>`."""
    found = re.search(r"(?:<(\d+) x )?(i(\d+)|half|bfloat|float|double)>?$", type_name.strip())
    assert found is not None, type_name
    bits = int(found[3]) if found[3] else _LLVM_BITS[found[2]]
    return int(found[1] or 1) * bits // 8


def _widths(
    flows: list[tuple[list[str], list[str]]],
    origins: dict[str, set[int]],
    accesses: list[_Access],
) -> Widths:
    """Until nothing changes: what an instruction writes comes from what it reads."""
    changed = True
    while changed:
        changed = False
        for results, sources in flows:
            reached = set().union(*(origins.get(source, set()) for source in sources))
            for result in results:
                if not reached <= origins[result]:
                    origins[result] |= reached
                    changed = True
    widths = Widths()
    for access in accesses:
        side = widths.stores if access.is_store else widths.loads
        for position in origins[access.address]:
            side[position].add(access.bytes)
    return widths
