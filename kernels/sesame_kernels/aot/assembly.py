"""How often each instruction of a kernel runs, from its machine code.

A loop that accesses data (the tensors with the most elements) passes over what its program has of
them: its iterations are the elements of a thread divided by those that one iteration loads or
stores. Where the assembler has unrolled a loop, the same accesses follow again for the remainder.
Code outside of loops, and a loop of another kind, counts as often as it is told, else once.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Instruction", "Loop", "amd_code", "nvidia_code", "weights"]

_AMD_WIDTHS = {"byte": 1, "short": 2, "dword": 4, "b32": 4, "b64": 8, "b96": 12, "b128": 16}


@dataclass(frozen=True)
class Instruction:
    """`target` is the position of the instruction to which a branch goes; -1 without one.

    `load_bytes` and `store_bytes` are those of one thread in global memory.
    """

    opcode: str
    target: int = -1
    load_bytes: int = 0
    store_bytes: int = 0

    @property
    def is_barrier(self) -> bool:
        return self.opcode.startswith(("BAR.", "s_barrier"))


@dataclass(frozen=True)
class Loop:
    """Instructions first to last, the last of which branches to the first."""

    first: int
    last: int

    def contains(self, other: "Loop") -> bool:
        return self != other and self.first <= other.first and other.last <= self.last


def nvidia_code(sass: str) -> list[Instruction]:
    """Of the kernel in `nvdisasm --binary`'s text, without the padding."""
    return _code(
        re.sub(r"\s*/\*0*([0-9a-f]+)\*/", r"\n0x\1:\n", sass),
        label=re.compile(r"(0x[0-9a-f]+):"),
        line=re.compile(r"\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*)"),
        branch=re.compile(r"BRA\b.*\b(0x[0-9a-f]+)"),
    )


def amd_code(assembly: str) -> list[Instruction]:
    """Of the kernel in the assembly that LLVM writes."""
    return _code(
        assembly[: assembly.index(".Lfunc_end0")],
        label=re.compile(r"(\.LBB\w+):"),
        line=re.compile(r"\t([sv]_\w+|(?:ds|global|buffer|flat|scratch)_\w+)(.*)"),
        branch=re.compile(r"s_c?branch\w*\s+(\.LBB\w+)"),
    )


def _code(
    text: str, label: re.Pattern[str], line: re.Pattern[str], branch: re.Pattern[str]
) -> list[Instruction]:
    labels: dict[str, int] = {}
    found: list[tuple[str, str]] = []
    for row in text.split("\n"):
        if name := label.match(row):
            labels[name[1]] = len(found)
        elif (instruction := line.match(row)) and instruction[1] not in ("NOP", "s_nop"):
            found.append((instruction[1], instruction[2]))
    code = []
    for position, (opcode, operands) in enumerate(found):
        name = branch.search(opcode + operands)
        target = labels.get(name[1], -1) if name else -1
        if target == position:  # what stands after the end, never reached
            continue
        code.append(Instruction(opcode, target, *_global_bytes(opcode)))
    return code


def _global_bytes(opcode: str) -> tuple[int, int]:
    """(loaded, stored) by one thread."""
    if opcode.startswith(("LDG.", "LDGSTS.")):
        return _nvidia_bytes(opcode), 0
    if opcode.startswith("STG."):
        return 0, _nvidia_bytes(opcode)
    if found := re.match(
        r"(?:global|buffer)_(load|store)_\D*?(byte|short|dword(?:x(\d))?|b\d+)", opcode
    ):
        kind = found[2].split("x")[0]
        width = _AMD_WIDTHS[kind] * int(found[3] or 1)
        return (width, 0) if found[1] == "load" else (0, width)
    return 0, 0


def _nvidia_bytes(opcode: str) -> int:
    for part in opcode.split("."):
        if part in ("64", "128", "256"):
            return int(part) // 8
        if part in ("U8", "S8"):
            return 1
        if part in ("U16", "S16"):
            return 2
    return 4


def loops_of(code: Sequence[Instruction]) -> list[Loop]:
    """By the first instruction; several branches back to one are one loop."""
    last: dict[int, int] = {}
    for position, instruction in enumerate(code):
        if 0 <= instruction.target <= position:
            last[instruction.target] = position
    return [Loop(first, end) for first, end in sorted(last.items())]


def weights(
    code: Sequence[Instruction],
    elements: float,
    load_bytes: tuple[set[int], float],
    store_bytes: tuple[set[int], float],
    other_iterations: int = 1,
) -> list[float]:
    """How often each instruction runs.

    Args:
        code: a kernel.
        elements: of the data, per thread of a program.
        load_bytes: (widths of the data's loads, bytes that one element has in all tensors loaded).
        store_bytes: likewise for stores.
        other_iterations: of a loop that accesses no data.
    """
    loops = loops_of(code)
    own = {loop: _own(code, loop, loops) for loop in loops}
    iterations: dict[Loop, float] = {}
    for run in _runs(loops, own):
        left = elements
        for position, loop in enumerate(run):
            size = _elements(own[loop], load_bytes, store_bytes)
            if not size:
                iterations[loop] = other_iterations
            elif position == len(run) - 1:
                iterations[loop] = math.ceil(left / size)
            else:
                iterations[loop] = left // size
                left -= iterations[loop] * size
    return [_times(position, loops, iterations, own) for position in range(len(code))]


def _times(
    position: int,
    loops: Sequence[Loop],
    iterations: dict[Loop, float],
    own: dict[Loop, list[Instruction]],
) -> float:
    """Iterations over data are those of all passes together, whatever loop surrounds them."""
    times = 1.0
    for loop in reversed(loops):
        if loop.first <= position <= loop.last:
            times *= iterations[loop]
            if any(instruction.load_bytes or instruction.store_bytes for instruction in own[loop]):
                break
    return times


def _own(code: Sequence[Instruction], loop: Loop, loops: Sequence[Loop]) -> list[Instruction]:
    inner = [other for other in loops if loop.contains(other)]
    return [
        code[position]
        for position in range(loop.first, loop.last + 1)
        if not any(other.first <= position <= other.last for other in inner)
    ]


def _runs(loops: Sequence[Loop], own: dict[Loop, list[Instruction]]) -> list[list[Loop]]:
    """Loops together with those that process the remainder of what they unroll."""
    runs: list[list[Loop]] = []
    for loop in loops:
        if runs and _is_remainder(own[runs[-1][-1]], own[loop]):
            runs[-1].append(loop)
        else:
            runs.append([loop])
    return runs


def _is_remainder(unrolled: Sequence[Instruction], loop: Sequence[Instruction]) -> bool:
    """Whether one has a multiple, of at least two, of the other's accesses."""
    many, few = (
        Counter((i.load_bytes, i.store_bytes) for i in body if i.load_bytes or i.store_bytes)
        for body in (unrolled, loop)
    )
    ratios = {many[access] / few[access] for access in few} if few.keys() == many.keys() else set()
    return len(ratios) == 1 and min(ratios) >= 2


def _elements(
    body: Sequence[Instruction],
    load_bytes: tuple[set[int], float],
    store_bytes: tuple[set[int], float],
) -> float:
    """Elements of one iteration: those stored, or else those loaded."""
    stored = sum(i.store_bytes for i in body if i.store_bytes in store_bytes[0])
    if stored:
        return stored / store_bytes[1]
    loaded = sum(i.load_bytes for i in body if i.load_bytes in load_bytes[0])
    return loaded / load_bytes[1] if loaded else 0.0
