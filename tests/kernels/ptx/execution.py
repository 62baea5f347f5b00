"""Execution of a kernel over a grid.

All threads of a batch of blocks are at one instruction. Where a branch parts them, those that are
furthest behind go on alone until they meet the others. At a barrier, or another instruction of a
block or warp, they wait for the rest, as on a GPU.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from .accesses import ACCESSES
from .arithmetic import ARITHMETIC, Step
from .blocks import Blocks
from .cooperation import COOPERATION, ready
from .faults import Fault, UnsupportedError
from .global_memory import Buffer, GlobalMemory
from .parsing import Instruction, Kernel, parse
from .shared_memory import SharedMemory
from .values import Array

__all__ = ["Program", "program"]

_STEPS = ARITHMETIC | ACCESSES | COOPERATION
_BATCH_THREADS = 16_384
_BATCH_BYTES = 1 << 21


class Program:
    """A kernel that is ready to run."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._steps = [_step(instruction) for instruction in kernel.code]

    def run(
        self,
        grid: tuple[int, int, int],
        arguments: Sequence[Array],
        buffers: Sequence[Buffer],
        shared_bytes: int,
        sectors: Counter[str] | None = None,
    ) -> None:
        """Raises a Fault for what is wrong on a GPU.

        Args:
            grid: numbers of blocks along x, y, z.
            arguments: the bits of the parameters, in order.
            buffers: all global memory.
            shared_bytes: of each block.
            sectors: counts those that warps touch, by buffer.
        """
        names = [parameter.name for parameter in self.kernel.parameters]
        parameters = dict(zip(names, arguments, strict=True))
        memory = GlobalMemory(buffers, sectors)
        for numbers, owners in self._batches(grid, shared_bytes):
            shared = SharedMemory(len(numbers), shared_bytes)
            with np.errstate(all="ignore"):
                blocks = Blocks(self.kernel, numbers, owners, parameters, memory, shared, grid)
                self._run_blocks(blocks)

    def _batches(
        self, grid: tuple[int, int, int], shared_bytes: int
    ) -> Iterator[tuple[Array, Array]]:
        """(positions in the grid [blocks, 3], x fastest; numbers from 1 [blocks])."""
        count = min(_BATCH_THREADS // self.kernel.threads, _BATCH_BYTES // max(shared_bytes, 1))
        z, y, x = (axis.reshape(-1) for axis in np.indices(grid[::-1]))
        numbers = np.stack((x, y, z), 1)
        owners = np.arange(1, len(numbers) + 1, dtype=np.int32)
        for start in range(0, len(numbers), max(count, 1)):
            batch = slice(start, start + max(count, 1))
            yield numbers[batch], owners[batch]

    def _run_blocks(self, blocks: Blocks) -> None:
        at, end = 0, len(self._steps)
        while at < end:
            instruction = self.kernel.code[at]
            going = _guarded(blocks, instruction, None)
            target = self._target(instruction)
            if target is None:
                self._steps[at](blocks, going)
                at += 1
            elif going is None or going.all():
                at = target
            elif not going.any():
                at += 1
            else:
                at = self._run_apart(blocks, np.where(going, target, at + 1))

    def _run_apart(self, blocks: Blocks, places: Array) -> int:
        """From a place [blocks, threads] of each thread to the one where all are again."""
        while True:
            at, active = self._next(blocks, places)
            if active.all():
                return at
            instruction = self.kernel.code[at]
            going = _guarded(blocks, instruction, active)
            target = self._target(instruction)
            places[active] = at + 1
            if target is None:
                self._steps[at](blocks, going)
            else:
                places[going] = target

    def _next(self, blocks: Blocks, places: Array) -> tuple[int, Array]:
        """The first place where threads need not wait for others, and these threads."""
        waiting = []
        for at in np.unique(places):
            if at == len(self._steps):
                active = places == at
                if active.all():
                    return int(at), active
                continue
            instruction = self.kernel.code[at]
            active = ready(blocks, instruction, places == at)
            if active.any():
                return int(at), active
            waiting.append(str(instruction))
        raise Fault(f"threads wait for others that never come: {'; '.join(waiting)}")

    def _target(self, instruction: Instruction) -> int | None:
        """Where a branch leads; None if it is none."""
        if instruction.opcode[0] == "bra":
            return self.kernel.labels[instruction.operands[0]]
        return len(self._steps) if instruction.opcode[0] in ("ret", "exit") else None


def _guarded(blocks: Blocks, instruction: Instruction, active: Array | None) -> Array | None:
    """Those threads among the active ones that take an instruction; None for all."""
    if not instruction.guard:
        return active
    holds = blocks.predicate(instruction.guard)
    taking = ~holds if instruction.negated else holds
    return taking if active is None else taking & active


def _step(instruction: Instruction) -> Step:
    name = instruction.opcode[0]
    if name in ("bra", "ret", "exit", "membar", "fence", "griddepcontrol"):
        return lambda blocks, active: None
    if name not in _STEPS:
        raise UnsupportedError(str(instruction))
    return _STEPS[name](instruction)


@cache
def program(ptx: str) -> Program:
    """The kernel of a module, made once."""
    return Program(parse(ptx))
