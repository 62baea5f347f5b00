import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sesame_kernels.aot.budgets import BUDGETS, excesses, measured_rows, parsed
from sesame_kernels.aot.launches import OPS
from sesame_kernels.aot.limits import most_of_copy
from sesame_kernels.aot.reports import OpReport
from sesame_kernels.aot.resources import Resources, fault_of, is_pinned_compiler
from sesame_kernels.dispatch import require_ampere

pytest.importorskip("triton")

PRODUCTS = {"linear_soft_argmax_kernel", "logits_gradient_kernel"}
PRODUCT_OPS = ["linear_soft_argmax", "linear_soft_argmax_backward"]
REPORT = OpReport("sm_90", "an_op", "contiguous", "bf16", 18.0, 16, 16, 2, 0.75, 4.0)


def run_aot(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "sesame_kernels.aot", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


Case = tuple[str, list[str], str]
"""An architecture, dtypes, and the instruction of its matrix products."""

CORE: list[Case] = [
    ("sm_80", ["bf16"], "mma"),
    ("sm_90", ["fp32", "bf16"], "wgmma"),
    ("gfx942", ["bf16"], "mfma"),
]
"""Every op, and every row of the budgets."""

OTHERS: list[Case] = [
    ("sm_86", ["bf16"], "mma"),
    ("sm_89", ["bf16"], "mma"),
    ("sm_100", ["bf16"], "tcgen05"),
    ("sm_120", ["bf16"], "mma"),
]
"""Their matrix products, whose tiles depend on the architecture."""

REST: list[Case] = [
    ("sm_80", ["fp32"], "mma"),
    ("sm_90", ["fp16"], "wgmma"),
    ("sm_100", ["fp32"], "tcgen05"),
    ("gfx942", ["fp32"], "mfma"),
    *OTHERS,
]
"""What is left of every op for every architecture: make test-aot."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "dtypes", "matrix_unit", "only"),
    [
        *((*case, []) for case in CORE),
        *((*case, PRODUCT_OPS) for case in OTHERS),
        *(pytest.param(*case, [], marks=pytest.mark.every_architecture) for case in REST),
    ],
)
def test_kernels_fit_their_architecture_and_their_budgets(
    arch, dtypes, matrix_unit, only, tmp_path
):
    table = tmp_path / "aot.json"
    ops = ["--op", *only] if only else []
    options = ["--dtype", *dtypes, "--jobs", "1", "--json", str(table)]
    result = run_aot("--arch", arch, *options, *ops)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "over budget:" not in result.stdout
    tables = json.loads(table.read_text())
    kernels, reports = tables["kernels"], tables["ops"]
    assert {row["arch"] for row in kernels} == {arch}
    assert not any(row["fault"] for row in kernels)
    units = {row["resources"]["matrix_unit"] for row in kernels if row["kernel"] in PRODUCTS}
    if dtypes != ["fp32"]:  # whose products are of another unit on some
        assert matrix_unit in units
    names = {(row["op"], row["layout"], row["dtype"]) for row in reports}
    assert {key for key in BUDGETS if key[2] in dtypes and key[0] in (only or OPS)} <= names


@pytest.mark.parametrize(
    ("arch", "spilled", "shared", "fault"),
    [
        ("sm_90", 0, 232_448, ""),
        ("sm_90", 8, 0, "spills 8 B"),
        ("sm_90", 0, 232_449, "shared memory above 232448 B"),
        ("sm_80", 8, 232_448, "spills 8 B, shared memory above 166912 B"),
        ("sm_89", 0, 101_377, "shared memory above 101376 B"),
    ],
)
def test_the_gate_closes_on_spills_and_on_too_much_shared_memory(
    arch, spilled, shared, fault, monkeypatch
):
    monkeypatch.setattr("sesame_kernels.aot.resources.version", lambda name: "3.7.1")
    used = Resources(32, spilled, shared, 16, 16, 4, 10.0, 0, 1.0, "")
    assert fault_of(used, arch) == fault


def test_budgets_bind_with_the_pinned_triton(monkeypatch):
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text()
    pinned = re.search(r"^triton==(.*)$", constraints, re.MULTILINE).group(1)
    monkeypatch.setattr("sesame_kernels.aot.resources.version", lambda name: pinned)
    assert is_pinned_compiler()


@pytest.mark.parametrize(
    ("triton", "spilled", "fault"),
    [
        ("3.7.0", 8, "spills 8 B"),
        ("3.6.0", 8, ""),
        ("3.9.0", 12, "spills 12 B"),
        ("3.70.0", 8, ""),
    ],
)
def test_another_compiler_may_spill_a_little(triton, spilled, fault, monkeypatch):
    monkeypatch.setattr("sesame_kernels.aot.resources.version", lambda name: triton)
    used = Resources(32, spilled, 0, 16, 16, 4, 10.0, 0, 1.0, "")
    assert fault_of(used, "sm_90") == fault


@pytest.mark.parametrize(
    ("change", "excess"),
    [
        ({}, []),
        ({"instructions": 18.1}, ["18.1 instructions per element, budget 18.0"]),
        ({"arch": "sm_80", "instructions": 20.0}, []),
        ({"arch": "sm_80", "instructions": 20.1}, ["20.1 instructions per element, budget 20.0"]),
        ({"load_bytes": 2}, ["loads of 2 B, budget 16 B"]),
        ({"store_bytes": 8}, ["stores of 8 B, budget 16 B"]),
        ({"bytes": 6.0}, ["6 bytes per element, budget 4"]),
        ({"barriers": 3}, ["3 barriers, budget 2"]),
        ({"occupancy": 0.5}, ["occupancy 50%, budget 75%"]),
        ({"arch": "gfx942", "instructions": 30.0, "load_bytes": 8, "bytes": 8.0}, []),
        ({"arch": "gfx942", "instructions": 31.0}, ["31.0 instructions per element, budget 30.0"]),
        ({"op": "another"}, ["no budget"]),
        ({"op": "another", "dtype": "fp16"}, []),
    ],
)
def test_the_gate_closes_on_each_figure_above_its_budget(change, excess, monkeypatch):
    amd = replace(REPORT, arch="gfx942", instructions=30.0)
    others = [replace(REPORT, arch="sm_80", instructions=20.0), amd]
    table = parsed("\n".join(measured_rows([REPORT, *others])))
    monkeypatch.setattr("sesame_kernels.aot.budgets.BUDGETS", table)
    report = replace(REPORT, **change)
    name = f"{report.arch} {report.op} contiguous bf16: "
    assert excesses([report]) == [name + line for line in excess]


@pytest.mark.parametrize(
    ("instructions", "moved", "share"),
    [(10.0, 2.0, 1.0), (44.0, 2.0, 0.4544), (44.0, 4.0, 0.9088)],
)
def test_what_is_predicted_is_bound_by_instructions_or_by_bytes(instructions, moved, share):
    """44 instructions per element cap an H100's bfloat16 at 45 % of a copy's bandwidth."""
    assert most_of_copy(instructions, moved) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("arch", ["sm_75", "75"])
def test_an_architecture_with_too_little_shared_memory_is_refused(arch):
    result = run_aot("--arch", arch)
    assert result.returncode == 2
    assert "sm_75 cannot run the kernels: it has 65536 bytes of shared memory" in result.stderr
    assert "valid: sm_80, sm_86, sm_89, sm_90, sm_100, sm_120, gfx942" in result.stderr


def test_an_unknown_architecture_is_refused():
    result = run_aot("--arch", "sm_12345")
    assert result.returncode == 2
    assert "unknown architecture 'sm_12345'; valid: sm_80, " in result.stderr


def test_an_unknown_op_is_refused():
    result = run_aot("--op", "soft_max")
    assert result.returncode == 2
    assert "valid: soft_argmax, soft_argmax_backward, " in result.stderr


def test_a_device_that_is_too_old_is_refused_where_an_op_is_called():
    require_ampere("NVIDIA H100", (9, 0))
    require_ampere("NVIDIA A100", (8, 0))
    message = "Tesla T4: sm_75 cannot run the kernels: it has 65536 bytes of shared memory"
    with pytest.raises(RuntimeError, match=message):
        require_ampere("Tesla T4", (7, 5))
