"""Time the kernels.

One row per op, size, provider and direction: the median and the 20 % and 80 % quantiles in
milliseconds, and the bytes that have to move. On a GPU also the replay of a CUDA graph, the peak of
memory, and the share of the copy bandwidth measured in the same run. Speed-ups are printed only for
ops whose tests have passed in this run.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch

from benchmarks.common.paths import ROOT
from benchmarks.common.revision import unpack_revision
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.kernels.case import OPS, cases
from benchmarks.kernels.harness import Row, measure

__all__ = ["main"]

MODULE = "benchmarks.kernels.run"


def passes_tests(op: str, device: str) -> bool:
    """Whether the op's own tests pass on what is about to be timed."""
    tests = sorted(str(path) for path in (ROOT / "tests/kernels").glob(f"test_{op}*.py"))
    if op == "soft_argmax":
        tests = [path for path in tests if "_l1" not in path]
    chosen = "not interp and not slow" + ("" if device == "cuda" else " and not gpu")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", chosen, *tests]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(f"{op}: its tests fail, so no speed-up is shown\n{result.stdout[-2000:]}")
    return result.returncode == 0


def run(op: str, device: torch.device, seconds: float) -> list[Row]:
    rows = []
    for index, case in enumerate(cases(op, device)):
        for row in measure(op, index, case, device, seconds):
            print(_line(row), flush=True)
            rows.append(row)
    return rows


def run_revision(ops: Sequence[str], device: str, revision: str, seconds: float) -> list[Row]:
    """The rows of ours, timed by these scripts with `sesame_kernels` of another git revision."""
    with tempfile.TemporaryDirectory() as folder:
        unpack_revision(revision, Path(folder), "kernels/sesame_kernels")
        table = Path(folder, "rows.csv")
        options = ["--device", device, "--threads", str(torch.get_num_threads())]
        options += ["--seconds", str(seconds), "--csv", str(table), "--no-tests"]
        path = os.pathsep.join([f"{folder}/kernels", os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", MODULE, *ops, *options]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=True)
        rows = [row for row in Table(table, Row).read() if row.provider == "ours"]
    return [replace(row, provider=f"ours at {revision}") for row in rows]


def print_speedups(rows: Sequence[Row]) -> None:
    for (op, shape, dtype, direction), group in groupby(sorted(rows, key=_key), _key):
        times = {row.provider: row.median_ms for row in group}
        ratios = [f"{times[name] / times['ours']:.2f}x {name}" for name in times if name != "ours"]
        print(f"{op} {shape} {dtype} {direction}: " + ", ".join(ratios))


def _key(row: Row) -> tuple[str, str, str, str]:
    return row.op, row.shape, row.dtype, row.direction


def _line(row: Row) -> str:
    text = (
        f"{row.op:24} {row.shape:24} {row.dtype:9} {row.provider:22} {row.direction:9}"
        f"{row.median_ms:9.3f} ms [{row.p20_ms:.3f}, {row.p80_ms:.3f}]"
    )
    if row.copy_fraction is not None:
        text += f" graph {row.graph_ms} ms, peak {row.peak_mb} MB, {row.copy_fraction:.1%} of copy"
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser(MODULE, __doc__)
    parser.add_argument(
        "ops", nargs="*", metavar="OP", help=f"any of {', '.join(OPS)}; default: all"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads; default: PyTorch's")
    parser.add_argument("--base", metavar="REVISION", help="time our ops at this revision as well")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="per provider and direction, on the CPU"
    )
    parser.add_argument("--csv", type=Path, help="write the rows to this file, over what it holds")
    parser.add_argument("--no-tests", action="store_true", help="no tests, hence no speed-ups")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.ops) - set(OPS))
    if unknown:
        parser.error(f"unknown op {', '.join(unknown)}; valid: {', '.join(OPS)}")
    table = Table(options.csv, Row)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # float32 convolutions of all providers are of float32
    ops = options.ops or OPS
    rows: list[Row] = []
    passed: set[str] = set()
    for op in ops:
        if not options.no_tests and passes_tests(op, options.device):
            passed.add(op)
        rows += run(op, torch.device(options.device), options.seconds)
        table.replace(rows)
    if options.base:
        rows += run_revision(ops, options.device, options.base, options.seconds)
    print_speedups([row for row in rows if row.op in passed])
    table.replace(rows)


if __name__ == "__main__":
    main()
