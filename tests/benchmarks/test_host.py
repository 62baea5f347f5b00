import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common.table import Table
from benchmarks.kernels.host import DIRECTIONS, Row, small_cases

pytest.importorskip("triton")

ROOT = Path(__file__).parents[2]


def run_host(*arguments: str, interpret: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels.host", *arguments],
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": interpret},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_op_is_timed_without_a_gpu(tmp_path):
    table = tmp_path / "host.csv"
    result = run_host("--seconds", "0", "--calls", "1", "--csv", str(table), interpret="0")
    assert result.returncode == 0, result.stderr
    rows = Table(table, Row).read()
    expected = [(case.op, direction) for case in small_cases() for direction in DIRECTIONS]
    assert [(row.op, row.direction) for row in rows] == expected
    assert all(row.ours_us > 0 and row.eager_us > 0 and row.arch == "sm_90" for row in rows)


def test_interpreted_kernels_are_refused():
    result = run_host(interpret="1")
    assert result.returncode == 2
    assert "TRITON_INTERPRET is set" in result.stderr
