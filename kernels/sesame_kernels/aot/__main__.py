"""Compile every kernel ahead of time, without a GPU, and print what its machine code uses.

Exits with 1 if a kernel spills registers, needs more shared memory than a block can have, or
exceeds the budget of its op.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from sesame_kernels.aot.architectures import ARCHITECTURES, architecture_name
from sesame_kernels.aot.budgets import excesses, measured_rows
from sesame_kernels.aot.launches import DTYPES, OPS, step_inputs
from sesame_kernels.aot.reports import (
    OpReport,
    Report,
    op_reports,
    reports_of,
    table_line,
    without_repeats,
)

_DEFAULT = ("sm_80", "sm_90", "sm_100")


def _arch(text: str) -> str:
    try:
        return architecture_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _write_json(path: Path, kernels: Sequence[Report], ops: Sequence[OpReport]) -> None:
    part = path.with_name(path.name + ".part")
    tables = {"kernels": [asdict(row) for row in kernels], "ops": [asdict(row) for row in ops]}
    part.write_text(json.dumps(tables, indent=1) + "\n")
    os.replace(part, path)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sesame_kernels.aot", description=__doc__)
    parser.add_argument(
        "--arch", type=_arch, nargs="+", default=_DEFAULT, help=f"of {', '.join(ARCHITECTURES)}"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, nargs="+", default=list(DTYPES), help="default: all"
    )
    parser.add_argument("--op", nargs="+", help="only these ops, e.g. soft_argmax_backward")
    parser.add_argument(
        "--budgets", action="store_true", help="print the table of budgets as it is measured"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables to this file")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1))
    options = parser.parse_args(argv)
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        parser.error("TRITON_INTERPRET is set: interpreted kernels have no machine code; unset it")
    if unknown := sorted(set(options.op or ()) - set(OPS)):
        parser.error(f"unknown op {', '.join(unknown)}; valid: {', '.join(OPS)}")
    reports: list[Report] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for arch in options.arch:
            inputs = step_inputs(options.dtype)
            parts = pool.map(partial(reports_of, arch, only=options.op), inputs)
            reports += chain.from_iterable(parts)
    ops = op_reports(reports)
    if options.budgets:
        print("\n".join(measured_rows(ops)))
        return 0
    kernels = [
        report
        for arch in options.arch
        for report in without_repeats(report for report in reports if report.arch == arch)
    ]
    for report in sorted(kernels, key=lambda it: (options.arch.index(it.arch), it.op, it.kernel)):
        print(table_line(report))
    over = excesses(ops)
    for line in over:
        print(f"over budget: {line}")
    if options.json:
        _write_json(options.json, kernels, ops)
    return 1 if over or any(report.fault for report in kernels) else 0


if __name__ == "__main__":
    sys.exit(main())
