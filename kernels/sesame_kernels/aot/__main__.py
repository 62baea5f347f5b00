"""Compile every kernel ahead of time, without a GPU, and print what its machine code uses.

Exits with 1 if a kernel spills registers, needs more shared memory than a block can have, or
exceeds the budget of its op. Budgets bind with the pinned Triton; with another one, what exceeds
them is only named, and 8 bytes may be spilled.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sesame_kernels.aot.architectures import ARCHITECTURES, architecture_name
from sesame_kernels.aot.budgets import excesses, measured_rows
from sesame_kernels.aot.launches import DTYPES, LAYOUTS, OPS, Inputs
from sesame_kernels.aot.reports import (
    OpReport,
    Report,
    op_reports,
    reports_of,
    table_line,
    without_repeats,
)
from sesame_kernels.aot.resources import is_pinned_compiler
from sesame_kernels.aot.warming import warm_cache

_DEFAULT = ("sm_80", "sm_90", "sm_100")
_SIZES = {
    "maps": "heat-maps, one per landmark",
    "stacks": "stacks of the network, each with heat-maps",
    "channels": "channels of the features",
    "map_side": "height and width of the heat-maps",
    "image_side": "height and width of the images",
}


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
    parser = _parser()
    options = parser.parse_args(argv)
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        parser.error("TRITON_INTERPRET is set: interpreted kernels have no machine code; unset it")
    if unknown := sorted(set(options.op or ()) - set(OPS)):
        parser.error(f"unknown op {', '.join(unknown)}; valid: {', '.join(OPS)}")
    if options.warm_cache is not None and options.arch is None:
        parser.error("--warm-cache needs --arch: that of the GPUs which will run the kernels")
    arches = options.arch or _DEFAULT
    sizes = {name: getattr(options, name) for name in _SIZES}
    inputs = [Inputs(dtype, layout, **sizes) for dtype in options.dtype for layout in LAYOUTS]
    with _mapper(options.jobs) as map_inputs:
        if options.warm_cache is not None:
            for arch in arches:
                warm = partial(warm_cache, options.warm_cache, arch, only=options.op)
                count = sum(map_inputs(warm, inputs))
                print(f"{arch}: {count} compiled kernels in {options.warm_cache}")
            return 0
        reports: list[Report] = []
        for arch in arches:
            parts = map_inputs(partial(reports_of, arch, only=options.op), inputs)
            reports += chain.from_iterable(parts)
    return _show(options, arches, reports)


@contextmanager
def _mapper(jobs: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map` in this process for one job, which saves the start of another, else over processes."""
    if jobs == 1:
        yield map
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sesame_kernels.aot", description=__doc__)
    parser.add_argument(
        "--arch",
        type=_arch,
        nargs="+",
        help=f"of {', '.join(ARCHITECTURES)}; default: {', '.join(_DEFAULT)}",
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, nargs="+", default=list(DTYPES), help="default: all"
    )
    parser.add_argument("--op", nargs="+", help="only these ops, e.g. soft_argmax_backward")
    for name, meaning in _SIZES.items():
        default = getattr(Inputs, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=default,
            help=f"{meaning}; default: {default}",
        )
    parser.add_argument(
        "--warm-cache",
        type=Path,
        metavar="DIR",
        help="only compile, into Triton's cache at DIR, where a run with TRITON_CACHE_DIR=DIR "
        "finds the kernels of these sizes; the batch does not matter",
    )
    parser.add_argument(
        "--budgets", action="store_true", help="print the table of budgets as it is measured"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables to this file")
    parser.add_argument(
        "--jobs", type=int, default=min(8, os.cpu_count() or 1), help="processes that compile"
    )
    return parser


def _show(options: argparse.Namespace, arches: Sequence[str], reports: Sequence[Report]) -> int:
    """Prints what is asked for; 1 if the gate is closed."""
    ops = op_reports(reports)
    if options.budgets:
        print("\n".join(measured_rows(ops)))
        return 0
    kernels = [
        report
        for arch in arches
        for report in without_repeats(report for report in reports if report.arch == arch)
    ]
    for report in sorted(kernels, key=lambda it: (arches.index(it.arch), it.op, it.kernel)):
        print(table_line(report))
    over = excesses(ops) if all(getattr(options, n) == getattr(Inputs, n) for n in _SIZES) else []
    pinned = is_pinned_compiler()
    for line in over:
        print(f"over budget{'' if pinned else ' of another Triton'}: {line}")
    if options.json:
        _write_json(options.json, kernels, ops)
    return 1 if (over and pinned) or any(report.fault for report in kernels) else 0


if __name__ == "__main__":
    sys.exit(main())
