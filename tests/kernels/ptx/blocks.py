"""The state of a batch of blocks that take every instruction together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .faults import Fault, UnsupportedError
from .global_memory import GlobalMemory
from .parsing import Kernel
from .shared_memory import SharedMemory
from .values import DTYPES, Array, unsigned

__all__ = ["LANES", "Blocks", "Copy", "Reader", "reader", "vector"]

LANES = 32
_PARAMETER_BYTES = 8


@dataclass
class Copy:
    """An asynchronous copy: bytes [blocks, threads, size] to addresses in shared memory.

    `pending` are the threads whose copy has not ended, `group` the number of commits of each thread
    before it.
    """

    addresses: Array
    data: Array
    pending: Array
    group: Array


@dataclass
class Blocks:
    """`numbers` [blocks, 3] are the positions in the `grid`, `owners` [blocks] numbers from 1.

    Values of registers are [blocks, threads], or what can be broadcast to that.
    `parameters` are bits by name. `commits` counts those of asynchronous copies, by thread.
    """

    kernel: Kernel
    numbers: Array
    owners: Array
    parameters: Mapping[str, Array]
    memory: GlobalMemory
    shared: SharedMemory
    grid: tuple[int, int, int]
    registers: dict[str, Array] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commits = np.zeros(self.shape, int)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.numbers), self.kernel.threads

    def everyone(self) -> Array:
        return np.ones(self.shape, bool)

    def by_warp(self, values: Array) -> Array:
        """[blocks, threads] -> [blocks, warps, 32]."""
        return np.broadcast_to(values, self.shape).reshape(len(self.numbers), -1, LANES)

    def write(self, name: str, values: Array, active: Array | None) -> None:
        """Values of any type to a register, of all threads or of the active ones.

        Bits beyond the register's are cut off; what is missing is extended by the values' sign.
        """
        if name == "_":
            return
        width = self.kernel.widths[name.rstrip("0123456789")]
        if width == 0:
            bits = np.asarray(values, bool)
        elif values.dtype.itemsize != width:
            target = f"i{width}" if values.dtype.kind == "i" else f"u{width}"
            bits = unsigned(
                (values if values.dtype.kind == "i" else unsigned(values)).astype(target)
            )
        else:
            bits = unsigned(np.ascontiguousarray(values))
        if active is None:
            self.registers[name] = np.broadcast_to(bits, self.shape)
            return
        before = self.registers.get(name)
        self.registers[name] = np.where(
            active, bits, bits.dtype.type(0) if before is None else before
        )

    def parameter_address(self, name: str) -> int:
        """Where a parameter is in the parameters' own memory."""
        return _PARAMETER_BYTES * (1 + list(self.parameters).index(name))

    def parameter_at(self, addresses: Array, active: Array | None) -> Array:
        """The parameters' bits at addresses [blocks, threads]."""
        found = np.zeros(self.shape, np.uint64)
        missing = self.everyone() if active is None else active.copy()
        for name, bits in self.parameters.items():
            here = addresses == self.parameter_address(name)
            found, missing = np.where(here, bits.astype(np.uint64), found), missing & ~here
        if missing.any():
            raise Fault("no parameter begins at this address")
        return found

    def predicate(self, name: str) -> Array:
        return self._register(name)

    def _register(self, name: str) -> Array:
        try:
            return self.registers[name]
        except KeyError:
            raise Fault(f"{name} is read before it is written") from None

    def read(self, name: str, kind: str) -> Array:
        """A register as a type; its lower bits if that is narrower."""
        bits, dtype = self._register(name), DTYPES[kind]
        if bits.dtype == bool:
            return bits
        if bits.dtype.itemsize != dtype.itemsize:
            bits = bits.astype(f"u{dtype.itemsize}")
        return bits.view(dtype)


Reader = Callable[[Blocks], Array]


def reader(operand: str, kind: str) -> Reader:
    """What gets an operand's values, of a type: a register, a number, or a special register."""
    if operand.startswith("%tid."):
        return lambda blocks: _thread_numbers(blocks, operand[-1]).astype(DTYPES[kind])
    if operand.startswith("%ctaid."):
        axis = "xyz".index(operand[-1])
        return lambda blocks: blocks.numbers[:, axis, None].astype(DTYPES[kind])
    if operand.startswith("%nctaid."):
        axis = "xyz".index(operand[-1])
        return lambda blocks: np.array(blocks.grid[axis], DTYPES[kind])
    if operand.startswith("-%"):
        positive = reader(operand[1:], kind)
        return lambda blocks: -positive(blocks)
    if operand == "global_smem":
        return lambda _: np.zeros((), DTYPES[kind])
    if re.search(r"_param_\d+$", operand):
        return lambda blocks: np.array(blocks.parameter_address(operand), DTYPES[kind])
    if operand[0] in "-0123456789":
        constant = _constant(operand, DTYPES[kind])
        return lambda _: constant
    if operand in ("true", "false"):
        return lambda _: np.array(operand == "true")
    return lambda blocks: blocks.read(operand, kind)


def _thread_numbers(blocks: Blocks, axis: str) -> Array:
    return np.arange(blocks.kernel.threads)[None] if axis == "x" else np.zeros((1, 1), int)


def _constant(text: str, dtype: np.dtype) -> Array:
    """An integer, or the bits of a float as `0f3F800000` or `0d...`."""
    if text[:2] in ("0f", "0F", "0d", "0D"):
        bits = np.array(int(text[2:], 16), "u4" if text[1] in "fF" else "u8")
        if bits.dtype.itemsize != dtype.itemsize:
            raise UnsupportedError(f"{text} where {dtype} is wanted")
        return bits.view(dtype)
    width = dtype.itemsize
    return np.array(int(text.rstrip("U"), 0) & ((1 << (8 * width)) - 1), f"u{width}").view(dtype)


def vector(operand: str) -> list[str]:
    """The registers of `{ %r1, %r2 }`, or the one without braces."""
    return [name.strip() for name in operand.strip("{} ").split(",")]
