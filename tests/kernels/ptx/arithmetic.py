"""Instructions that compute each thread's value from its own."""

from collections.abc import Callable
from functools import partial

import numpy as np

from .blocks import Blocks, Reader, reader, vector
from .faults import UnsupportedError
from .parsing import Instruction
from .values import DTYPES, Array, bf16_bits, bytes_of, from_bf16, tf32_bits, unsigned

__all__ = ["ARITHMETIC", "Step"]

Step = Callable[[Blocks, Array | None], None]
"""Executes one instruction, for all threads or for the active ones."""

_COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNSIGNED_COMPARISONS = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
_ROUNDINGS = {"rni": np.rint, "rmi": np.floor, "rpi": np.ceil, "rzi": np.trunc}


def _is_float(kind: str) -> bool:
    return kind[0] == "f"


def _computed(instruction: Instruction, function: Callable[..., Array], *kinds: str) -> Step:
    """Writes a function of the operands, each read as its type."""
    target, *sources = instruction.operands
    readers = [reader(source, kind) for source, kind in zip(sources, kinds, strict=True)]
    flush = "ftz" in instruction.opcode

    def step(blocks: Blocks, active: Array | None) -> None:
        values = function(*(read(blocks) for read in readers))
        blocks.write(target, _without_subnormals(values) if flush else values, active)

    return step


def _without_subnormals(values: Array) -> Array:
    tiny = np.abs(values) < np.finfo(values.dtype).tiny
    return np.where(tiny, np.copysign(values.dtype.type(0), values), values)


def _same(instruction: Instruction, function: Callable[..., Array]) -> Step:
    """All operands have the instruction's type."""
    kind = instruction.kind
    return _computed(instruction, function, *[kind] * (len(instruction.operands) - 1))


def _add(i: Instruction) -> Step:
    return _same(i, np.add)


def _subtract(i: Instruction) -> Step:
    return _same(i, np.subtract)


def _multiply(i: Instruction) -> Step:
    kind = i.kind
    if "wide" in i.opcode:
        return _computed(i, partial(_wide_product, kind), kind, kind)
    if "hi" in i.opcode:
        if kind == "s64":
            raise UnsupportedError(str(i))
        high = _high_product_64 if kind == "u64" else partial(_high_product, kind)
        return _computed(i, high, kind, kind)
    return _same(i, np.multiply)


def _multiply_add(i: Instruction) -> Step:
    kind = i.kind
    if "wide" in i.opcode:

        def function(x: Array, y: Array, z: Array) -> Array:
            return _wide_product(kind, x, y) + z

        return _computed(i, function, kind, kind, f"{kind[0]}{2 * int(kind[1:])}")
    return _same(i, _fused if kind == "f32" else _product_and_sum)


def _product_and_sum(x: Array, y: Array, z: Array) -> Array:
    return x * y + z


def _fused(x: Array, y: Array, z: Array) -> Array:
    """One rounding: float64 holds a product of float32 without error."""
    return (x.astype(np.float64) * y + z).astype(np.float32)


def _wide_product(kind: str, x: Array, y: Array) -> Array:
    wide = DTYPES[f"{kind[0]}{2 * int(kind[1:])}"]
    return x.astype(wide) * y.astype(wide)


def _high_product(kind: str, x: Array, y: Array) -> Array:
    product = _wide_product(kind, x, y)
    return (product >> product.dtype.type(8 * bytes_of(kind))).astype(DTYPES[kind])


def _high_product_64(x: Array, y: Array) -> Array:
    """The upper half of 128 bits, from products of halves."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    x1, x0, y1, y0 = x >> half, x & low, y >> half, y & low
    middle = x1 * y0 + (x0 * y0 >> half)
    return x1 * y1 + (middle >> half) + ((x0 * y1 + (middle & low)) >> half)


def _divide(i: Instruction) -> Step:
    return _same(i, np.divide if _is_float(i.kind) else _quotient)


def _quotient(x: Array, y: Array) -> Array:
    """Rounded towards zero."""
    return (x - np.fmod(x, y)) // np.where(y == 0, y.dtype.type(1), y)


def _remainder(i: Instruction) -> Step:
    return _same(i, np.fmod)


def _extreme(i: Instruction) -> Step:
    """Of floats, NaN only with `.NaN`: else the other operand is the result."""
    is_max = i.opcode[0] == "max"
    if _is_float(i.kind) and "NaN" not in i.opcode:
        return _same(i, np.fmax if is_max else np.fmin)
    return _same(i, np.maximum if is_max else np.minimum)


def _unary(function: Callable[[Array], Array]) -> Callable[[Instruction], Step]:
    return lambda i: _same(i, function)


def _special(function: Callable[[Array], Array]) -> Callable[[Instruction], Step]:
    """Where hardware approximates: the exact value, rounded."""

    def rounded(values: Array) -> Array:
        return function(values.astype(np.float64)).astype(values.dtype)

    return _unary(rounded)


def _logical(function: Callable[..., Array]) -> Callable[[Instruction], Step]:
    def step(i: Instruction) -> Step:
        kind = "b8" if i.kind == "pred" else i.kind
        return _computed(i, function, *[kind] * (len(i.operands) - 1))

    return step


def _not(values: Array) -> Array:
    return ~values


def _shift(i: Instruction) -> Step:
    return _computed(i, partial(_shifted, i.opcode[0] == "shl"), i.kind, "u32")


def _shifted(left: bool, values: Array, by: Array) -> Array:
    """A shift by the width or more leaves nothing but, to the right, copies of the sign."""
    bits = 8 * values.dtype.itemsize
    clipped = np.minimum(by, bits - 1).astype(values.dtype)
    if not left and values.dtype.kind == "i":
        return values >> clipped
    shifted = values << clipped if left else values >> clipped
    return np.where(by >= bits, values.dtype.type(0), shifted)


def _funnel_shift(i: Instruction) -> Step:
    """`shf`: two registers as 64 bits, shifted; to the left the upper half, else the lower."""

    def function(low: Array, high: Array, by: Array) -> Array:
        both = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
        by = np.minimum(by, 32) if "clamp" in i.opcode else by & np.uint32(31)
        if i.opcode[1] == "l":
            return ((both << by.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)
        return (both >> by.astype(np.uint64)).astype(np.uint32)

    return _computed(i, function, "b32", "b32", "u32")


def _bit_field(i: Instruction) -> Step:
    """`bfe`: `count` bits from a position."""

    def function(values: Array, position: Array, count: Array) -> Array:
        one = np.int64(1)
        field = values.astype(np.int64) & np.int64(0xFFFFFFFF)
        field = (field >> position.astype(np.int64)) & ((one << count.astype(np.int64)) - one)
        if i.kind == "s32":
            sign = (field >> np.maximum(count.astype(np.int64) - one, 0)) & one
            field = field - (sign << count.astype(np.int64))
        return field.astype(DTYPES[i.kind])

    if bytes_of(i.kind) != 4:
        raise UnsupportedError(str(i))
    return _computed(i, function, i.kind, "u32", "u32")


def _permute_bytes(i: Instruction) -> Step:
    """`prmt`: four bytes, each chosen of eight, or its sign repeated."""

    def function(low: Array, high: Array, selector: Array) -> Array:
        both = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
        result = np.zeros(np.broadcast_shapes(both.shape, selector.shape), np.uint32)
        for place in range(4):
            choice = (selector >> np.uint32(4 * place)) & np.uint32(15)
            shift = (choice & np.uint32(7)).astype(np.uint64) * np.uint64(8)
            byte = ((both >> shift) & np.uint64(255)).astype(np.uint32)
            sign = np.where(byte & 128, np.uint32(255), np.uint32(0))
            byte = np.where(choice & 8, sign, byte)
            result |= byte << np.uint32(8 * place)
        return result

    return _computed(i, function, "b32", "b32", "b32")


def _logic_table(i: Instruction) -> Step:
    """`lop3`: any function of three bits, by its table of eight."""
    *_, table = i.operands
    rows = [row for row in range(8) if int(table, 0) >> row & 1]

    def function(a: Array, b: Array, c: Array) -> Array:
        result = np.zeros((), np.uint32)
        for row in rows:
            x, y, z = a if row & 4 else ~a, b if row & 2 else ~b, c if row & 1 else ~c
            result = result | (x & y & z)
        return result

    without_table = Instruction(i.guard, i.negated, i.opcode, i.operands[:-1], i.text, i.place)
    return _computed(without_table, function, "b32", "b32", "b32")


def _compare(i: Instruction) -> Step:
    kind, name = i.kind, i.opcode[1]
    if len(i.opcode) > 3 and i.opcode[2] in ("and", "or", "xor"):
        raise UnsupportedError(str(i))
    if name in ("num", "nan"):
        wanted = name == "nan"
        return _computed(i, lambda x, y: (np.isnan(x) | np.isnan(y)) == wanted, kind, kind)
    if _is_float(kind):
        unordered = name not in _COMPARISONS
        compare = _COMPARISONS[name[:-1] if unordered else name]

        def function(x: Array, y: Array) -> Array:
            is_nan = np.isnan(x) | np.isnan(y)
            return np.where(is_nan, unordered, compare(x, y))

        return _computed(i, function, kind, kind)
    return _computed(i, _COMPARISONS[_UNSIGNED_COMPARISONS.get(name, name)], kind, kind)


def _select(i: Instruction) -> Step:
    target, first, second, choice = i.operands
    read_first, read_second = reader(first, i.kind), reader(second, i.kind)

    def step(blocks: Blocks, active: Array | None) -> None:
        chosen = np.where(blocks.predicate(choice), read_first(blocks), read_second(blocks))
        blocks.write(target, chosen, active)

    return step


def _move(i: Instruction) -> Step:
    target, source = i.operands
    if target.startswith("{"):
        return _unpack(vector(target), reader(source, i.kind), bytes_of(i.kind))
    if source.startswith("{"):
        parts = vector(source)
        part_kind = f"b{8 * bytes_of(i.kind) // len(parts)}"
        return _pack(target, [reader(part, part_kind) for part in parts], i.kind)
    return _computed(i, np.asarray, "b8" if i.kind == "pred" else i.kind)


def _unpack(targets: list[str], read: Reader, size: int) -> Step:
    """The first register has the lowest bits."""
    part = size // len(targets)

    def step(blocks: Blocks, active: Array | None) -> None:
        bits = unsigned(read(blocks))
        for position, target in enumerate(targets):
            shifted = bits >> bits.dtype.type(8 * part * position)
            blocks.write(target, shifted.astype(f"u{part}"), active)

    return step


def _pack(target: str, parts: list[Reader], kind: str) -> Step:
    dtype = np.dtype(f"u{bytes_of(kind)}")
    bits = 8 * dtype.itemsize // len(parts)

    def step(blocks: Blocks, active: Array | None) -> None:
        whole = np.zeros((), dtype)
        for position, read in enumerate(parts):
            whole = whole | (read(blocks).astype(dtype) << dtype.type(bits * position))
        blocks.write(target, whole, active)

    return step


def _convert(i: Instruction) -> Step:
    to, source = i.opcode[-2:]
    if to in ("bf16x2", "f16x2"):
        half = _half_bits(to[:-2])

        def both(high: Array, low: Array) -> Array:
            return (half(high).astype(np.uint32) << np.uint32(16)) | half(low)

        return _computed(i, both, source, source)
    if to == "tf32":
        return _computed(i, tf32_bits, source)
    if to == "bf16":
        return _computed(i, bf16_bits, source)
    if source == "bf16":
        return _computed(i, from_bf16, source)
    rounding = next((_ROUNDINGS[part] for part in i.opcode if part in _ROUNDINGS), None)
    return _computed(i, partial(_converted, DTYPES[to], rounding), source)


def _half_bits(kind: str) -> Callable[[Array], Array]:
    if kind == "bf16":
        return bf16_bits
    return lambda values: unsigned(values.astype(np.float16))


def _converted(dtype: np.dtype, rounding: Callable[[Array], Array] | None, values: Array) -> Array:
    """Floats become the nearest integer that there is; NaN becomes 0."""
    if rounding is not None:
        values = rounding(values)
    if values.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        inside = np.clip(values.astype(np.float64), float(limits.min), float(limits.max))
        return np.where(np.isnan(values), 0.0, inside).astype(dtype)
    return values.astype(dtype)


ARITHMETIC: dict[str, Callable[[Instruction], Step]] = {
    "abs": _unary(np.abs),
    "add": _add,
    "and": _logical(np.bitwise_and),
    "bfe": _bit_field,
    "cos": _special(np.cos),
    "cvt": _convert,
    "div": _divide,
    "ex2": _special(np.exp2),
    "fma": _multiply_add,
    "lg2": _special(np.log2),
    "lop3": _logic_table,
    "mad": _multiply_add,
    "max": _extreme,
    "min": _extreme,
    "mov": _move,
    "mul": _multiply,
    "neg": _unary(np.negative),
    "not": _logical(_not),
    "or": _logical(np.bitwise_or),
    "prmt": _permute_bytes,
    "rcp": _special(np.reciprocal),
    "rem": _remainder,
    "rsqrt": _special(lambda values: 1.0 / np.sqrt(values)),
    "selp": _select,
    "setp": _compare,
    "shf": _funnel_shift,
    "shl": _shift,
    "shr": _shift,
    "sin": _special(np.sin),
    "sqrt": _special(np.sqrt),
    "sub": _subtract,
    "tanh": _special(np.tanh),
    "xor": _logical(np.bitwise_xor),
}
"""What makes the step of an instruction, by the first part of its opcode."""
