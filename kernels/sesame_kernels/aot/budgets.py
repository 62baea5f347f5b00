"""What the ops may use. A figure that is exceeded fails the gate, and with it the tests.

The budgets are those of Triton 3.7, the pinned one. Instructions and barriers have a tenth to spare
over the worst architecture; bytes, widths and occupancy have none. Other versions allot registers
and barriers differently, so with them the gate names what is exceeded and stays open.
`python -m sesame_kernels.aot --arch ... --budgets` prints the rows as they are measured.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sesame_kernels.aot.architectures import is_amd
from sesame_kernels.aot.reports import OpReport

__all__ = ["BUDGETS", "Budget", "excesses", "measured_rows", "parsed"]


_HOPPER = "sm_90"


@dataclass(frozen=True)
class Budget:
    """Limits of one op at the sizes of a training step, on every NVIDIA architecture.

    Attributes:
        instructions: at most so many per element of the data (instr in the table).
        hopper_instructions: likewise on sm_90.
        amd_instructions: likewise on gfx942, for which the other limits do not hold.
        bytes: at most so many are moved per element of the data, each tensor once per kernel.
        load_bytes, store_bytes: accesses of the data by one thread are at least so wide.
        barriers: at most so many per block.
        occupancy: at least so much, in [0, 1] (warps in the table, in percent).
    """

    instructions: float
    hopper_instructions: float
    amd_instructions: float
    bytes: float
    load_bytes: int
    store_bytes: int
    barriers: int
    occupancy: float

    def excesses_of(self, report: OpReport) -> list[str]:
        """What exceeds the budget, in words."""
        used, most = report.instructions, self.instructions
        if is_amd(report.arch):
            most = self.amd_instructions
        elif report.arch == _HOPPER:
            most = self.hopper_instructions
        found = []
        if used > most:
            found.append(f"{used} instructions per element, budget {most}")
        if is_amd(report.arch):
            return found
        if report.bytes > self.bytes:
            found.append(f"{report.bytes:g} bytes per element, budget {self.bytes:g}")
        if report.load_bytes < self.load_bytes:
            found.append(f"loads of {report.load_bytes} B, budget {self.load_bytes} B")
        if report.store_bytes < self.store_bytes:
            found.append(f"stores of {report.store_bytes} B, budget {self.store_bytes} B")
        if report.barriers > self.barriers:
            found.append(f"{report.barriers:.0f} barriers, budget {self.barriers}")
        if report.occupancy < self.occupancy:
            found.append(f"occupancy {report.occupancy:.0%}, budget {self.occupancy:.0%}")
        return found


_TABLE = """
op                                layout        dtype instr hopper   amd bytes loads stores barriers warps
linear_soft_argmax                channels_last bf16     14      6    10     2    16      0      392    12
linear_soft_argmax                channels_last fp32    209    134    68     4    16      0     3522    12
linear_soft_argmax                contiguous    bf16     14      6    11     2    16      0      392    12
linear_soft_argmax                contiguous    fp32    211    136    66     4    16      0     3522    12
linear_soft_argmax_backward       channels_last bf16     12      6    11   2.8    16     16      422    12
linear_soft_argmax_backward       channels_last fp32    203    129    76   5.6    16     16     2395    12
linear_soft_argmax_backward       contiguous    bf16     13      7    10   2.8    16     16      639    12
linear_soft_argmax_backward       contiguous    fp32    206    133    67   5.6    16     16     2959    12
masked_mse                        channels_last bf16     23     22    33     4    16      0        3    62
masked_mse                        channels_last fp32     23     21    33     8    16      0        3    56
masked_mse                        contiguous    bf16     12     11    14     4    16      0        3    56
masked_mse                        contiguous    fp32     10      9    13     8    16      0        3    56
masked_mse_backward               channels_last bf16     22     21    33     6    16     16        0    75
masked_mse_backward               channels_last fp32     20     18    25    12    16     16        0    62
masked_mse_backward               contiguous    bf16     12     11    18     6    16     16        0    62
masked_mse_backward               contiguous    fp32      9      8    12    12    16     16        0    56
noise_mask                        channels_last bf16    117    116   153     4     2      2       27    25
noise_mask                        channels_last fp32    112    111   144     8     4      4       33    25
noise_mask                        contiguous    bf16    113    110   144     4    16     16       16    43
noise_mask                        contiguous    fp32    108    107   137     8    16     16       20    31
noise_mask_backward               channels_last bf16     21     19    39     4    16     16        0   100
noise_mask_backward               channels_last fp32     20     18    31     8    16     16        0   100
noise_mask_backward               contiguous    bf16     15     14    20     4    16     16        0   100
noise_mask_backward               contiguous    fp32     12     11    12     8    16     16        0    75
soft_argmax                       channels_last bf16     14     13    15     2    16      0        4    33
soft_argmax                       channels_last fp32     12     11    15     4    16      0        4    33
soft_argmax                       contiguous    bf16     13     12    18     2    16      0        6    31
soft_argmax                       contiguous    fp32     13     12    18     4    16      0        6    25
soft_argmax_backward              channels_last bf16     16     15    25     4    16     16        0    43
soft_argmax_backward              channels_last fp32     13     12    15     8    16     16        0    50
soft_argmax_backward              contiguous    bf16     11     10    18     4    16     16        0    50
soft_argmax_backward              contiguous    fp32     11     10    13     8    16     16        0    18
soft_argmax_distribution          channels_last bf16     22     20    23     2    16      0        9    25
soft_argmax_distribution          channels_last fp32     18     17    35     4    16      0        9    33
soft_argmax_distribution          contiguous    bf16     22     21    35     2    16      0       14    12
soft_argmax_distribution          contiguous    fp32     23     22    36     4    16      0       14    12
soft_argmax_distribution_backward channels_last bf16     31     29    43     4    16     16       23    37
soft_argmax_distribution_backward channels_last fp32     28     27    37     8    16     16       39    50
soft_argmax_distribution_backward contiguous    bf16     18     18    24     4    16     16        0    25
soft_argmax_distribution_backward contiguous    fp32     19     18    21     8    16     16        0    12
soft_argmax_loss                  channels_last bf16     30     29    40     6    16     16        4    33
soft_argmax_loss                  channels_last fp32     24     23    30    12    16     16        4    33
soft_argmax_loss                  contiguous    bf16     17     17    28     4    16     16        6    25
soft_argmax_loss                  contiguous    fp32     17     16    23     8    16     16        6    18
soft_argmax_loss_backward         channels_last bf16      6      6    13     4    16     16        0   100
soft_argmax_loss_backward         channels_last fp32      6      5     7     8    16     16        0   100
soft_argmax_loss_backward         contiguous    bf16      6      6    13     4    16     16        0   100
soft_argmax_loss_backward         contiguous    fp32      6      5     7     8    16     16        0   100
soft_argmax_loss_rescale_         channels_last bf16      7      6    14     4    16     16        0   100
soft_argmax_loss_rescale_         channels_last fp32      6      5     7     8    16     16        0   100
soft_argmax_loss_rescale_         contiguous    bf16      7      6    14     4    16     16        0   100
soft_argmax_loss_rescale_         contiguous    fp32      6      5     7     8    16     16        0   100
soft_argmax_loss_stacks           contiguous    bf16     18     17    29     4    16     16        6    25
soft_argmax_loss_stacks           contiguous    fp32     17     16    24     8    16     16        6    25
soft_argmax_marginals             channels_last bf16     26     26    57     2     4      0      188    43
soft_argmax_marginals             channels_last fp32     28     28    63     4     8      0      344    50
soft_argmax_marginals             contiguous    bf16     32     31    59     2    16      0       15    50
soft_argmax_marginals             contiguous    fp32     32     31    58     4    16      0       15    37
soft_argmax_marginals_backward    channels_last bf16     42     37    49     4     4      4        4    25
soft_argmax_marginals_backward    channels_last fp32     39     35    40     8     8      8        4    25
soft_argmax_marginals_backward    contiguous    bf16     21     20    34     4    16     16        6    56
soft_argmax_marginals_backward    contiguous    fp32     22     21    31     8    16     16        6    50
soft_argmax_moments               channels_last bf16     19     18    21     2    16      0        7    25
soft_argmax_moments               channels_last fp32     17     16    32     4    16      0        7    33
soft_argmax_moments               contiguous    bf16     19     18    29     2    16      0        9    25
soft_argmax_moments               contiguous    fp32     20     18    30     4    16      0        9    25
soft_argmax_moments_backward      channels_last bf16     22     20    39     4    16     16       17    56
soft_argmax_moments_backward      channels_last fp32     21     20    35     8    16     16       32    56
soft_argmax_moments_backward      contiguous    bf16     13     12    21     4    16     16        0    31
soft_argmax_moments_backward      contiguous    fp32     13     12    17     8    16     16        0    25
star_loss                         channels_last bf16     73     73   183   9.3     4      4        0   100
star_loss                         channels_last fp32     73     73   183   9.3     4      4        0   100
star_loss                         contiguous    bf16     73     73   183   9.3     4      4        0   100
star_loss                         contiguous    fp32     73     73   183   9.3     4      4        0   100
"""  # noqa: E501
_COLUMNS = "op layout dtype instr hopper amd bytes loads stores barriers warps"


def parsed(table: str) -> dict[tuple[str, str, str], Budget]:
    """Budgets by op, layout and dtype of a table as it stands here."""
    heading, *rows = table.strip().split("\n")
    assert heading.split() == _COLUMNS.split(), heading
    budgets = {}
    for row in rows:
        op, layout, dtype, *figures = row.split()
        instructions, hopper, amd, moved = map(float, figures[:4])
        loads, stores, barriers, percent = map(int, figures[4:])
        budgets[op, layout, dtype] = Budget(
            instructions, hopper, amd, moved, loads, stores, barriers, percent / 100
        )
    return budgets


BUDGETS = parsed(_TABLE)
"""By op, layout and dtype; float16 is not held against one, its code is that of bfloat16."""


def excesses(reports: Iterable[OpReport]) -> list[str]:
    """A line for every figure that is above its budget, and for every op without one."""
    lines = []
    for report in reports:
        if report.dtype == "fp16":
            continue
        name = f"{report.arch} {report.op} {report.layout} {report.dtype}"
        budget = BUDGETS.get((report.op, report.layout, report.dtype))
        found = ["no budget"] if budget is None else budget.excesses_of(report)
        lines += [f"{name}: {excess}" for excess in found]
    return lines


def measured_rows(reports: Iterable[OpReport]) -> list[str]:
    """Rows of the table that just hold what was measured, over all architectures together."""
    groups: dict[tuple[str, str, str], list[OpReport]] = {}
    for report in reports:
        if report.dtype != "fp16":
            groups.setdefault((report.op, report.layout, report.dtype), []).append(report)
    return [_row(_COLUMNS.split()), *(_row([*key, *_figures(groups[key])]) for key in groups)]


def _figures(reports: list[OpReport]) -> list[str]:
    nvidia = [report for report in reports if not is_amd(report.arch)]
    amd = [report for report in reports if is_amd(report.arch)]
    return [
        _most(nvidia),
        _most([report for report in nvidia if report.arch == _HOPPER]),
        _most(amd),
        f"{max((report.bytes for report in nvidia), default=0):g}",
        *(
            str(min((getattr(report, name) for report in nvidia), default=0))
            for name in ("load_bytes", "store_bytes")
        ),
        f"{max((report.barriers for report in nvidia), default=0):.0f}",
        f"{min((int(report.occupancy * 100) for report in nvidia), default=0)}",
    ]


def _most(reports: list[OpReport]) -> str:
    return f"{max((report.instructions for report in reports), default=math.nan):.1f}"


def _row(cells: list[str]) -> str:
    widths = (34, 14, 5, 6, 7, 6, 6, 6, 7, 9, 6)
    left, right = cells[:3], cells[3:]
    text = "".join(cell.ljust(width) for cell, width in zip(left, widths, strict=False))
    text += "".join(cell.rjust(width) for cell, width in zip(right, widths[3:], strict=True))
    return text.rstrip()
