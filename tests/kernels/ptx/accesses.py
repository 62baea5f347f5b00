"""Loads, stores and asynchronous copies."""

import re
from collections.abc import Callable

import numpy as np

from .arithmetic import Step
from .blocks import Blocks, Copy, Reader, reader, vector
from .faults import UnsupportedError
from .parsing import Instruction
from .values import DTYPES, Array, bytes_of, unsigned

__all__ = ["ACCESSES"]


def _address(operand: str, kind: str) -> Reader:
    """Of `[%rd1 + 16]`, for all threads."""
    found = re.fullmatch(r"\[\s*([%\w]+)\s*(?:\+\s*(-?\w+))?\s*\]", operand)
    if found is None:
        raise UnsupportedError(operand)
    base, offset = reader(found[1], kind), int(found[2] or "0", 0)
    wrapped = np.array(offset & (2 ** (8 * bytes_of(kind)) - 1), DTYPES[kind])

    def read(blocks: Blocks) -> Array:
        return np.broadcast_to(base(blocks) + wrapped, blocks.shape)

    return read


def _count(i: Instruction) -> int:
    """Registers of a vector access."""
    return next((int(part[1:]) for part in i.opcode if re.fullmatch(r"v\d", part)), 1)


def _active(blocks: Blocks, active: Array | None) -> Array:
    return blocks.everyone() if active is None else active


def _space(i: Instruction) -> str:
    spaces = [part for part in i.opcode if part in ("global", "shared", "param")]
    if len(spaces) != 1:
        raise UnsupportedError(str(i))
    return spaces[0]


def _load(i: Instruction) -> Step:
    space, targets = _space(i), vector(i.operands[0])
    if space == "param":
        name = i.operands[1].strip("[] ")
        if name.startswith("%"):
            at = _address(i.operands[1], "u64")
            return lambda blocks, active: blocks.write(
                targets[0], blocks.parameter_at(at(blocks), active), active
            )
        return lambda blocks, active: blocks.write(targets[0], blocks.parameters[name], active)
    dtype, size = DTYPES[i.kind], bytes_of(i.kind) * _count(i)
    address = _address(i.operands[1], "u64" if space == "global" else "u32")

    def step(blocks: Blocks, active: Array | None) -> None:
        at, loading = address(blocks), _active(blocks, active)
        if space == "global":
            data = blocks.memory.load(at, size, loading, blocks.owners, i)
        else:
            data = blocks.shared.load(at, size, loading, i)
        for number, target in enumerate(targets):
            blocks.write(target, data.view(dtype)[..., number], active)

    return step


def _store(i: Instruction) -> Step:
    space, sources = _space(i), [reader(name, i.kind) for name in vector(i.operands[1])]
    address = _address(i.operands[0], "u64" if space == "global" else "u32")

    def step(blocks: Blocks, active: Array | None) -> None:
        values = [np.broadcast_to(unsigned(read(blocks)), blocks.shape) for read in sources]
        data = np.stack(values, 2).view(np.uint8)
        at, storing = address(blocks), _active(blocks, active)
        if space == "global":
            blocks.memory.store(at, data, storing, blocks.owners, i)
        else:
            blocks.shared.store(at, data, storing, i)

    return step


def _copy(i: Instruction) -> Step:
    if i.opcode[1:3] == ("async", "commit_group"):
        return _commit
    if i.opcode[1:3] == ("async", "wait_group"):
        return _wait(i)
    if i.opcode[1:3] not in (("async", "ca"), ("async", "cg")):
        raise UnsupportedError(str(i))
    target, source = _address(i.operands[0], "u32"), _address(i.operands[1], "u64")
    size = int(i.operands[2], 0)
    read_count = reader(i.operands[3] if len(i.operands) > 3 else str(size), "u32")

    def step(blocks: Blocks, active: Array | None) -> None:
        """Bytes beyond the given number are zeros, and not read."""
        wanted = _active(blocks, active)
        count = np.broadcast_to(read_count(blocks), blocks.shape)
        if not np.isin(count, (0, size)).all():
            raise UnsupportedError(f"part of the bytes: {i}")
        reading = wanted & (count == size)
        data = blocks.memory.load(source(blocks), size, reading, blocks.owners, i)
        blocks.shared.begin_copy(target(blocks), size, wanted, i)
        blocks.copies.append(Copy(target(blocks), data, wanted, blocks.commits))

    return step


def _commit(blocks: Blocks, active: Array | None) -> None:
    blocks.commits = blocks.commits + _active(blocks, active)


def _wait(i: Instruction) -> Step:
    """All of a thread's groups but the last few end."""
    allowed = int(i.operands[0], 0)

    def step(blocks: Blocks, active: Array | None) -> None:
        waiting = _active(blocks, active)
        for copy in blocks.copies:
            ending = waiting & copy.pending & (copy.group < blocks.commits - allowed)
            if ending.any():
                blocks.shared.end_copy(copy.addresses, copy.data, ending, i)
                copy.pending = copy.pending & ~ending
        blocks.copies = [copy for copy in blocks.copies if copy.pending.any()]

    return step


ACCESSES: dict[str, Callable[[Instruction], Step]] = {"cp": _copy, "ld": _load, "st": _store}
"""What makes the step of an instruction, by the first part of its opcode."""
