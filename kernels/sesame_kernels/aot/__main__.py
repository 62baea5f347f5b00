"""Compile every kernel ahead of time, without a GPU, and print what its machine code uses.

Exits with 1 if a kernel spills registers or needs more shared memory than a block can have.
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
from sesame_kernels.aot.launches import step_inputs
from sesame_kernels.aot.reports import Report, reports_of, table_line, without_repeats

_DEFAULT = ("sm_80", "sm_90", "sm_100")


def _arch(text: str) -> str:
    try:
        return architecture_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _order(report: Report) -> tuple[str, str]:
    return report.op, report.kernel


def _write_json(path: Path, reports: Sequence[Report]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps([asdict(report) for report in reports], indent=1) + "\n")
    os.replace(part, path)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sesame_kernels.aot", description=__doc__)
    parser.add_argument(
        "--arch", type=_arch, nargs="+", default=_DEFAULT, help=f"of {', '.join(ARCHITECTURES)}"
    )
    parser.add_argument("--op", nargs="+", help="only these ops, e.g. soft_argmax_backward")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1))
    options = parser.parse_args(argv)
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        parser.error("TRITON_INTERPRET is set: interpreted kernels have no machine code; unset it")
    reports: list[Report] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for arch in options.arch:
            parts = pool.map(partial(reports_of, arch, only=options.op), step_inputs())
            reports += sorted(without_repeats(chain.from_iterable(parts)), key=_order)
    for report in reports:
        print(table_line(report))
    if options.json:
        _write_json(options.json, reports)
    return 1 if any(report.fault for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
