"""Instructions of a warp or a block together: shuffles, matrix products, barriers."""

from collections.abc import Callable

import numpy as np

from .arithmetic import Step
from .blocks import LANES, Blocks, reader, vector
from .faults import Fault, UnsupportedError
from .parsing import Instruction
from .values import DTYPES, Array, from_bf16, from_tf32, unsigned

__all__ = ["COOPERATION", "ready"]

_LANE = np.arange(32)
_GROUP, _PLACE = _LANE // 4, _LANE % 4
_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.sum,
    "max": np.max,
    "min": np.min,
    "and": np.bitwise_and.reduce,
    "or": np.bitwise_or.reduce,
    "xor": np.bitwise_xor.reduce,
}


def ready(blocks: Blocks, instruction: Instruction, active: Array) -> Array:
    """Those of the active threads that need not wait for others of their block or warp."""
    if instruction.opcode[0] not in COOPERATION:
        return active
    if instruction.opcode[0] == "bar" and instruction.opcode[1] != "warp":
        return active & active.all(axis=1, keepdims=True)
    whole = blocks.by_warp(active).all(axis=2)
    return active & np.repeat(whole, LANES, axis=1)


def _require_whole_warps(blocks: Blocks, active: Array | None, instruction: Instruction) -> None:
    """A warp takes such an instruction with all its threads or with none."""
    if active is not None:
        warps = blocks.by_warp(active)
        if np.any(warps.any(2) & ~warps.all(2)):
            raise Fault(f"part of a warp: {instruction}")


def _barrier(instruction: Instruction) -> Step:
    """Of the block; that of a warp orders nothing here, where a warp's accesses are in order."""
    if instruction.opcode[1] == "warp":
        return lambda blocks, active: _require_whole_warps(blocks, active, instruction)
    if instruction.operands not in (("0",), ()):
        raise UnsupportedError(str(instruction))

    def step(blocks: Blocks, active: Array | None) -> None:
        whole: Array = np.ones(len(blocks.numbers), bool)
        if active is not None:
            whole = np.asarray(active.all(axis=1))
            if np.any(active.any(1) & ~whole):
                raise Fault(f"part of a block: {instruction}")
        blocks.shared.barrier(whole)

    return step


def _shuffle(i: Instruction) -> Step:
    target, source, lane = i.operands[:3]
    mode = i.opcode[2]
    read, read_lane = reader(source, "b32"), reader(lane, "u32")

    def step(blocks: Blocks, active: Array | None) -> None:
        _require_whole_warps(blocks, active, i)
        values, by = blocks.by_warp(read(blocks)), blocks.by_warp(read_lane(blocks)).astype(int)
        sources = {
            "bfly": _LANE ^ by,
            "idx": by & 31,
            "up": np.where(by <= _LANE, _LANE - by, _LANE),
            "down": np.where(_LANE + by < 32, _LANE + by, _LANE),
        }[mode]
        taken = np.take_along_axis(values, np.broadcast_to(sources, values.shape), 2)
        blocks.write(target, taken.reshape(blocks.shape), active)

    return step


def _reduce(i: Instruction) -> Step:
    target, source = i.operands[:2]
    read, reduction = reader(source, i.kind), _REDUCTIONS[i.opcode[2]]

    def step(blocks: Blocks, active: Array | None) -> None:
        _require_whole_warps(blocks, active, i)
        reduced = reduction(blocks.by_warp(read(blocks)), axis=2).astype(DTYPES[i.kind])
        blocks.write(target, np.repeat(reduced, 32, axis=1), active)

    return step


def _load_matrices(i: Instruction) -> Step:
    """`ldmatrix`: matrices of 8 x 8 of 16 bits, whose rows' addresses lanes 8 m to 8 m + 7 give.

    Lane 4 r + c gets (r, 2 c) and (r, 2 c + 1); transposed, (2 c, r) and (2 c + 1, r).
    """
    targets, (base, offset) = vector(i.operands[0]), _address(i.operands[1])
    read = reader(base, "u32")
    if (len(targets), i.kind) not in ((1, "b16"), (2, "b16"), (4, "b16")):
        raise UnsupportedError(str(i))

    def step(blocks: Blocks, active: Array | None) -> None:
        _require_whole_warps(blocks, active, i)
        addresses = np.broadcast_to(read(blocks).astype(np.int64) + offset, blocks.shape)
        gives_row = np.broadcast_to(
            np.arange(blocks.shape[1]) % 32 < 8 * len(targets), blocks.shape
        )
        wanted = gives_row if active is None else gives_row & active
        rows = blocks.shared.load(addresses, 16, wanted, i).view(np.uint16)
        matrices = rows.reshape(len(blocks.numbers), -1, 4, 8, 8)
        for number, target in enumerate(targets):
            matrix = matrices[:, :, number]
            if "trans" in i.opcode:
                matrix = matrix.swapaxes(2, 3)
            low, high = matrix[:, :, _GROUP, 2 * _PLACE], matrix[:, :, _GROUP, 2 * _PLACE + 1]
            both = low.astype(np.uint32) | (high.astype(np.uint32) << np.uint32(16))
            blocks.write(target, both.reshape(blocks.shape), active)

    return step


def _address(operand: str) -> tuple[str, int]:
    base, _, offset = operand.strip("[] ").partition("+")
    return base.strip(), int(offset or 0)


def _multiply_matrices(i: Instruction) -> Step:
    """`mma`: D = A B + C; PTX ISA, "Matrix Fragments for mma"."""
    d, a, b, c = (vector(operand) for operand in i.operands)
    shape, kind = i.opcode[3], i.opcode[7]
    if shape == "m8n8k4" and kind == "f64":
        return _multiply_doubles(i, d[0:2], a[0], b[0], c[0:2])
    if (shape, kind) not in (("m16n8k16", "bf16"), ("m16n8k16", "f16"), ("m16n8k8", "tf32")):
        raise UnsupportedError(str(i))

    def step(blocks: Blocks, active: Array | None) -> None:
        _require_whole_warps(blocks, active, i)

        def bits(name: str) -> Array:
            return blocks.by_warp(blocks.read(name, "b32"))

        left = _tile([bits(name) for name in a], kind, rows=16)
        right = _tile([bits(name) for name in b], kind, rows=8).swapaxes(2, 3)
        total = np.zeros((*left.shape[:2], 16, 8), np.float32)
        for number, name in enumerate(c):
            row, column = _GROUP + 8 * (number // 2), 2 * _PLACE + number % 2
            total[:, :, row, column] = bits(name).view(np.float32)
        total = (left.astype(np.float64) @ right.astype(np.float64) + total).astype(np.float32)
        for number, name in enumerate(d):
            row, column = _GROUP + 8 * (number // 2), 2 * _PLACE + number % 2
            blocks.write(name, total[:, :, row, column].reshape(blocks.shape), active)

    return step


def _tile(registers: list[Array], kind: str, rows: int) -> Array:
    """[blocks, warps, rows, k]: A, or B transposed; registers go down the rows first."""
    bands = rows // 8
    per_register = 1 if kind == "tf32" else 2
    width = len(registers) // bands * 4 * per_register
    tile = np.zeros((*registers[0].shape[:2], rows, width), np.float32)
    for number, bits in enumerate(registers):
        row = _GROUP + 8 * (number % bands)
        column = per_register * (_PLACE + 4 * (number // bands))
        if kind == "tf32":
            tile[:, :, row, column] = from_tf32(bits)
        else:
            tile[:, :, row, column] = _half(bits, kind)
            tile[:, :, row, column + 1] = _half(bits >> np.uint32(16), kind)
    return tile


def _half(bits: Array, kind: str) -> Array:
    half = bits.astype(np.uint16)
    return from_bf16(half) if kind == "bf16" else half.view(np.float16).astype(np.float32)


def _multiply_doubles(i: Instruction, d: list[str], a: str, b: str, c: list[str]) -> Step:
    def step(blocks: Blocks, active: Array | None) -> None:
        _require_whole_warps(blocks, active, i)

        def values(name: str) -> Array:
            return blocks.by_warp(blocks.read(name, "f64"))

        left, right = (np.zeros((*values(a).shape[:2], 8, 4)) for _ in range(2))
        left[:, :, _GROUP, _PLACE], right[:, :, _GROUP, _PLACE] = values(a), values(b)
        total = left @ right.swapaxes(2, 3)
        for number in range(2):
            term = total[:, :, _GROUP, 2 * _PLACE + number] + values(c[number])
            blocks.write(d[number], unsigned(term).reshape(blocks.shape), active)

    return step


COOPERATION: dict[str, Callable[[Instruction], Step]] = {
    "bar": _barrier,
    "barrier": _barrier,
    "ldmatrix": _load_matrices,
    "mma": _multiply_matrices,
    "redux": _reduce,
    "shfl": _shuffle,
}
"""What makes the step of an instruction, by the first part of its opcode."""
