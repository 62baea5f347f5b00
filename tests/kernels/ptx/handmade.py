"""Kernels written by hand, for the tests of the emulator."""

import numpy as np

from .execution import Program
from .global_memory import Buffer
from .parsing import parse
from .values import Array

__all__ = ["module", "run"]

_ADDRESS = 4096

_MODULE = """
.version 8.7
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 global_smem[];
.visible .entry handmade(
{parameters}
)
.reqntid {threads}
{{
	.reg .pred 	%p<9>;
	.reg .b16 	%rs<9>;
	.reg .b32 	%r<99>;
	.reg .b64 	%rd<99>;
	mov.u32 %r0, %tid.x;
	mul.wide.u32 %rd0, %r0, 4;
{body}
	ret;
}}
"""


def module(body: str, arrays: int, threads: int = 32) -> str:
    """A kernel with a pointer per array; %r0 is the thread, %rd0 four times that.

    Pointers are in %rd90, %rd91 and so on.
    """
    names = [f"handmade_param_{number}" for number in range(arrays)]
    parameters = ",\n".join(f"\t.param .u64 .ptr .global .align 1 {name}" for name in names)
    loads = "".join(f"\tld.param.b64 %rd9{k}, [{name}];\n" for k, name in enumerate(names))
    return _MODULE.format(parameters=parameters, threads=threads, body=loads + body)


def run(
    body: str, *arrays: Array, threads: int = 32, grid: int = 1, shared: int = 0
) -> tuple[Array, ...]:
    """Copies of the arrays after a kernel has run on them; each begins at a multiple of 4096."""
    copies = tuple(array.copy() for array in arrays)
    places = [_ADDRESS * (number + 1) for number in range(len(copies))]
    buffers = [
        Buffer(f"array {number}", place, copy.reshape(-1).view(np.uint8))
        for number, (place, copy) in enumerate(zip(places, copies, strict=True))
    ]
    program = Program(parse(module(body, len(copies), threads)))
    pointers = [np.array([place], np.uint64) for place in places]
    program.run((grid, 1, 1), pointers, buffers, shared)
    return copies
