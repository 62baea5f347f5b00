"""What the ops may use. A figure that is exceeded fails the gate, and with it the tests.

`python -m sesame_kernels.aot --arch ... --budgets` prints the rows as they are measured.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sesame_kernels.aot.architectures import is_amd
from sesame_kernels.aot.reports import OpReport

__all__ = ["BUDGETS", "Budget", "excesses", "measured_rows", "parsed"]


@dataclass(frozen=True)
class Budget:
    """Limits of one op at the sizes of a training step, on every NVIDIA architecture.

    Attributes:
        instructions: at most so many per element of the data; None for matrix products.
        amd_instructions: likewise on gfx942, for which the other limits do not hold.
        load_bytes, store_bytes: accesses of the data by one thread are at least so wide.
        barriers: at most so many per block.
        occupancy: at least so much, in [0, 1].
    """

    instructions: float | None
    amd_instructions: float | None
    load_bytes: int
    store_bytes: int
    barriers: int
    occupancy: float

    def excesses_of(self, report: OpReport) -> list[str]:
        """What exceeds the budget, in words."""
        used, most = report.instructions, self.instructions
        if is_amd(report.arch):
            most = self.amd_instructions
        found = []
        if used is not None and most is not None and used > most:
            found.append(f"{used} instructions per element, budget {most}")
        if is_amd(report.arch):
            return found
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
op                           layout        dtype instructions   amd loads stores barriers occupancy
linear_soft_argmax           channels_last bf16             -     -    16      0      200        16
linear_soft_argmax           channels_last fp32             -     -    16      0      652        12
linear_soft_argmax           contiguous    bf16             -     -    16      0      200        16
linear_soft_argmax           contiguous    fp32             -     -    16      0      652        12
linear_soft_argmax_backward  channels_last bf16             -     -    16     16       68        12
linear_soft_argmax_backward  channels_last fp32             -     -    16     16       84        12
linear_soft_argmax_backward  contiguous    bf16             -     -    16     16       68        12
linear_soft_argmax_backward  contiguous    fp32             -     -    16     16       84        12
masked_mse                   channels_last bf16          26.7  30.2     2      0        6        37
masked_mse                   channels_last fp32          24.3  27.8     4      0        6        37
masked_mse                   contiguous    bf16          13.0  19.1    16      0        2        75
masked_mse                   contiguous    fp32          16.2  17.3    16      0        2        62
masked_mse_backward          channels_last bf16          31.8  35.4     2      2        3        37
masked_mse_backward          channels_last fp32          28.1  27.5     4      4        3        37
masked_mse_backward          contiguous    bf16          13.1  21.8    16     16        0       100
masked_mse_backward          contiguous    fp32          11.0  14.3    16     16        0        75
noise_mask                   channels_last bf16         164.0 238.8     2      2       16        25
noise_mask                   channels_last fp32         133.6 228.2     4      4       16        25
noise_mask                   contiguous    bf16         146.2 227.5     8      8       12        43
noise_mask                   contiguous    fp32         142.5 217.5    16     16       12        43
noise_mask_backward          channels_last bf16          37.5  35.2     2      2        1        75
noise_mask_backward          channels_last fp32          33.2  28.3     4      4        1        62
noise_mask_backward          contiguous    bf16          19.8  27.3     8      8        0       100
noise_mask_backward          contiguous    fp32          15.0  20.2    16     16        0       100
soft_argmax                  channels_last bf16          49.2  68.0     2      0      168        37
soft_argmax                  channels_last fp32          47.9  67.0     4      0      168        37
soft_argmax                  contiguous    bf16          44.2  74.1    16      0       12        62
soft_argmax                  contiguous    fp32          45.7  75.5    16      0       12        50
soft_argmax_backward         channels_last bf16          81.4 111.3     2      2        0        25
soft_argmax_backward         channels_last fp32          78.7 105.4     4      4        0        25
soft_argmax_backward         contiguous    bf16          43.2  70.9    16     16        0        62
soft_argmax_backward         contiguous    fp32          42.6  69.2    16     16        0        62
soft_argmax_l1               channels_last bf16         114.8 154.4     2      2      168        25
soft_argmax_l1               channels_last fp32         109.1 147.4     4      4      168        25
soft_argmax_l1               contiguous    bf16          84.8 146.6    16     16       12        62
soft_argmax_l1               contiguous    fp32          85.8 145.9    16     16       12        50
soft_argmax_l1_backward      channels_last bf16           5.2  11.0    16     16        0       100
soft_argmax_l1_backward      channels_last fp32           4.5   5.1    16     16        0       100
soft_argmax_l1_backward      contiguous    bf16           5.2  11.0    16     16        0       100
soft_argmax_l1_backward      contiguous    fp32           4.5   5.1    16     16        0       100
soft_argmax_l1_rescale_      channels_last bf16           5.3  11.4    16     16        0       100
soft_argmax_l1_rescale_      channels_last fp32           4.6   5.6    16     16        0       100
soft_argmax_l1_rescale_      contiguous    bf16           5.3  11.4    16     16        0       100
soft_argmax_l1_rescale_      contiguous    fp32           4.6   5.6    16     16        0       100
soft_argmax_moments          channels_last bf16          61.9  97.8     2      0      294        25
soft_argmax_moments          channels_last fp32          60.6  96.8     4      0      294        25
soft_argmax_moments          contiguous    bf16          60.4 115.1    16      0       21        50
soft_argmax_moments          contiguous    fp32          62.1 116.6    16      0       21        50
soft_argmax_moments_backward channels_last bf16          83.8 121.7     2      2        0        25
soft_argmax_moments_backward channels_last fp32          80.6 115.6     4      4        0        25
soft_argmax_moments_backward contiguous    bf16          47.2  79.9    16     16        0        75
soft_argmax_moments_backward contiguous    fp32          47.5  76.6    16     16        0        50
"""
_COLUMNS = "op layout dtype instructions amd loads stores barriers occupancy"


def parsed(table: str) -> dict[tuple[str, str, str], Budget]:
    """Budgets by op, layout and dtype of a table as it stands here."""
    heading, *rows = table.strip().split("\n")
    assert heading.split() == _COLUMNS.split(), heading
    budgets = {}
    for row in rows:
        op, layout, dtype, *figures = row.split()
        instructions, amd = (None if text == "-" else float(text) for text in figures[:2])
        loads, stores, barriers, percent = map(int, figures[2:])
        budgets[op, layout, dtype] = Budget(
            instructions, amd, loads, stores, barriers, percent / 100
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
        _most(amd),
        *(
            str(min((getattr(report, name) for report in nvidia), default=0))
            for name in ("load_bytes", "store_bytes")
        ),
        f"{max((report.barriers for report in nvidia), default=0):.0f}",
        f"{min((int(report.occupancy * 100) for report in nvidia), default=0)}",
    ]


def _most(reports: list[OpReport]) -> str:
    counts = [report.instructions for report in reports if report.instructions is not None]
    return f"{max(counts):.1f}" if counts else "-"


def _row(cells: list[str]) -> str:
    widths = (29, 14, 6, 12, 6, 6, 7, 9, 10)
    left, right = cells[:3], cells[3:]
    text = "".join(cell.ljust(width) for cell, width in zip(left, widths, strict=False))
    text += "".join(cell.rjust(width) for cell, width in zip(right, widths[3:], strict=True))
    return text.rstrip()
