"""The limits of compiled kernels, from the table that the tests enforce."""

from sesame_kernels.aot.architectures import ARCHITECTURES
from sesame_kernels.aot.budgets import BUDGETS
from sesame_kernels.aot.limits import most_of_copy

__all__ = ["kernel_budgets"]

_OF_PRODUCTS = "linear_"

_HEAD = """# Compiled kernels

Generated from `sesame_kernels/aot/budgets.py`. `python -m sesame_kernels.aot` compiles every op on
a machine without a GPU and reads its machine code. It fails, and so do the tests, where a kernel
spills registers, needs more shared memory than a block has, or exceeds a figure below on one of
{architectures}.

* **Instructions** are those that a thread executes per element of the data, loops and reductions
  included, on the worst of these architectures and on **sm_90**. An H100 executes 29.7e12 of them
  per second: 132 multiprocessors, 4 warps of 32 threads per cycle, 1.755 GHz. An op with n of them
  and b bytes moved per element is not faster than 29.7e12 b / n bytes per second, whatever the
  memory could do: 3.3 TB/s for n = 18 and the 2 bytes of a bfloat16.
* **Bytes** are what the kernels of the op move per element, each large tensor once per kernel.
* **Of copy** is a prediction, not a measurement: the share of a copy's bandwidth that an H100 can
  reach at the most with the instructions of sm_90 and these bytes. None is made for
  `linear_soft_argmax`, whose products have a unit of their own.
* **gfx942** are the instructions there; the other limits are NVIDIA's.
* **Load and store** are bytes that a thread moves at once, of the tensors with the most elements
  (the backward pass of `linear_soft_argmax` stores the maps' gradient alone). Narrow ones need more
  instructions and waste part of each memory sector.
* **Barriers** are met by a block over its whole run.
* **Warps** are the part of a multiprocessor's that fit (its occupancy), the least over NVIDIA's.

Sizes are those of a training step: 98 maps of 64 x 64, from 256 channels, and images of 256 x 256.
For `linear_soft_argmax` an element is one of the features, 256 per pixel; each product of a matrix
unit is one instruction.

| op | layout | dtype | instructions | sm_90 | gfx942 | bytes | of copy | load | store | barriers \
| warps |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def kernel_budgets() -> str:
    """The page as Markdown."""
    text = _HEAD.format(architectures=", ".join(ARCHITECTURES))
    for (op, layout, dtype), budget in BUDGETS.items():
        most = most_of_copy(budget.hopper_instructions, budget.bytes)
        cells = [
            f"`{op}`",
            layout.replace("_", "-"),
            dtype,
            f"{budget.instructions:g}",
            f"{budget.hopper_instructions:g}",
            f"{budget.amd_instructions:g}",
            f"{budget.bytes:g}",
            "" if op.startswith(_OF_PRODUCTS) else f"{most:.0%}",
            str(budget.load_bytes or ""),
            str(budget.store_bytes or ""),
            str(budget.barriers),
            f"{budget.occupancy:.0%}",
        ]
        text += f"| {' | '.join(cells)} |\n"
    return text
