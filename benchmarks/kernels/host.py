"""Time what the host does per call of an op, without a GPU.

Small batches are limited by the host. Triton's whole launch path runs here, for one architecture,
but what would launch a kernel does nothing; eager PyTorch runs on CPU tensors so small that its
kernels take next to no time. Both leave out the driver's own time per launch; eager launches more
kernels than ours. One row per op and direction: the medians in microseconds of the processor's time
and the ratio of ours to eager, with its 20 % and 80 % quantiles.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sesame_kernels import linear_soft_argmax, masked_mse, soft_argmax
from sesame_kernels.aot.driver import without_device
from sesame_kernels.dispatch import triton_on_cpu
from torch import Tensor

from benchmarks.common.interleaved_timer import Timing, time_interleaved
from benchmarks.common.machine import device_name, package_version
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.kernels.case import Case, runner
from benchmarks.kernels.ops import linear_soft_argmax as linear_case
from benchmarks.kernels.ops import masked_mse as mse_case
from benchmarks.kernels.ops import noise_mask as noise_case
from benchmarks.kernels.ops import soft_argmax as soft_argmax_case
from benchmarks.kernels.ops import soft_argmax_distribution as distribution_case
from benchmarks.kernels.ops import soft_argmax_loss as l1_case
from benchmarks.kernels.ops import soft_argmax_marginals as marginals_case
from benchmarks.kernels.ops import star_loss as star_case

__all__ = ["Row", "main"]

DIRECTIONS = ("forward", "both")


@dataclass(frozen=True)
class Row:
    """Microseconds per call, and ours over eager's within rounds."""

    op: str
    direction: str
    ours_us: float
    eager_us: float
    ratio: float
    ratio_p20: float
    ratio_p80: float
    arch: str
    cpu: str
    torch: str
    triton: str


def small_cases() -> Iterator[Case]:
    """Each op on two samples of few pixels."""
    maps, target = torch.randn(2, 5, 4, 4), torch.rand(2, 5, 2)
    features, weight = torch.randn(2, 8, 4, 4), torch.randn(5, 8, 1, 1)
    images, mask = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    noise = (torch.rand(2, 3, 2), torch.ones(2, 3), torch.tensor([3, 2]), torch.arange(2))

    def case(
        op: str,
        ours: Callable[..., Tensor],
        eager: Callable[..., Tensor],
        *inputs: Tensor,
        trained: int = 1,
    ) -> Case:
        return Case(op, "", inputs, {"ours": ours, "eager": eager}, 0, 0, trained)

    yield case("soft_argmax", soft_argmax, soft_argmax_case.eager, maps)
    yield case("soft_argmax_distribution", distribution_case.ours, distribution_case.eager, maps)
    yield case("soft_argmax_marginals", marginals_case.ours, marginals_case.eager, maps)
    yield case("soft_argmax_loss", l1_case.ours, l1_case.eager, maps, target)
    yield case(
        "soft_argmax_loss of 4 stacks",
        l1_case.ours_of_stacks,
        l1_case.eager_of_stacks,
        *(maps.clone() for _ in range(4)),
        target,
        trained=4,
    )
    star = star_case.inputs(2, 5, maps.device)
    yield case("star_loss", star_case.ours, star_case.composed, *star, trained=2)
    yield case(
        "linear_soft_argmax", linear_soft_argmax, linear_case.eager, features, weight, trained=2
    )
    yield case("masked_mse", masked_mse, mse_case.eager, images, images, mask)
    yield case("noise_mask", noise_case.ours, noise_case.eager, images, *noise)


def measure(arch: str, seconds: float, calls: int) -> Iterator[Row]:
    """Time every op for about `seconds` per direction and provider."""
    for case in small_cases():
        for direction in DIRECTIONS:
            with without_device(arch, lambda *_: None), triton_on_cpu():
                runs = {name: runner(case, name, direction) for name in case.providers}
                for run in runs.values():
                    run()
                times = time_interleaved(
                    runs,
                    "eager",
                    torch.device("cpu"),
                    seconds=seconds,
                    calls=calls,
                    clock=time.process_time,
                )
            yield _row(case.op, direction, times["ours"], times["eager"], arch)


def _row(op: str, direction: str, ours: Timing, eager: Timing, arch: str) -> Row:
    return Row(
        op,
        direction,
        round(ours.median_ms * 1e3, 1),
        round(eager.median_ms * 1e3, 1),
        ours.ratio,
        ours.ratio_p20,
        ours.ratio_p80,
        arch,
        device_name(torch.device("cpu")),
        torch.__version__,
        package_version("triton"),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.kernels.host", __doc__)
    parser.add_argument("--arch", default="sm_90", help="compile for this one; default: sm_90")
    parser.add_argument("--seconds", type=float, default=2.0, help="per op, direction and provider")
    parser.add_argument("--calls", type=int, default=20, help="in a row, whose mean is a sample")
    parser.add_argument("--csv", type=Path, help="write the rows to this file, over what it holds")
    options = parser.parse_args(arguments)
    if os.environ.get("TRITON_INTERPRET") == "1":
        parser.error("TRITON_INTERPRET is set: interpreted kernels are not launched; unset it")
    torch.set_num_threads(1)
    table = Table(options.csv, Row)
    rows = []
    for row in measure(options.arch, options.seconds, options.calls):
        print(
            f"{row.op:28} {row.direction:7} ours {row.ours_us:6.1f} us, "
            f"eager {row.eager_us:6.1f} us, ours / eager {row.ratio:.2f} "
            f"[{row.ratio_p20:.2f}, {row.ratio_p80:.2f}]",
            flush=True,
        )
        rows.append(row)
    table.replace(rows)


if __name__ == "__main__":
    main()
