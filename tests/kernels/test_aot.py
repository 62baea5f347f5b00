import json
import os
import subprocess
import sys

import pytest
from sesame_kernels.aot.resources import Resources, fault_of

pytest.importorskip("triton")

PRODUCTS = {"linear_soft_argmax_kernel", "logits_gradient_kernel"}
STREAMS = {"soft_argmax_kernel", "soft_argmax_backward_kernel", "soft_argmax_l1_kernel"}


def run_aot(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "sesame_kernels.aot", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "matrix_unit"), [("sm_80", "mma"), ("sm_90", "wgmma"), ("sm_100", "tcgen05")]
)
def test_no_kernel_spills(arch, matrix_unit, tmp_path):
    table = tmp_path / "aot.json"
    result = run_aot("--arch", arch, "--json", str(table))
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads(table.read_text())
    assert {row["arch"] for row in rows} == {arch}
    assert all(row["resources"]["spilled"] == 0 and not row["fault"] for row in rows)
    by_kernel = {(row["kernel"], row["inputs"]): row["resources"] for row in rows}
    for kernel in PRODUCTS:
        assert by_kernel[kernel, "bf16 nchw"]["matrix_unit"] == matrix_unit
    for kernel in STREAMS:
        assert by_kernel[kernel, "fp32 nchw"]["load_bytes"] == 16


@pytest.mark.parametrize(
    ("arch", "spilled", "shared", "fault"),
    [
        ("sm_90", 0, 232_448, ""),
        ("sm_90", 8, 0, "spills 8 B"),
        ("sm_90", 0, 232_449, "shared memory above 232448 B"),
        ("sm_80", 8, 232_448, "spills 8 B, shared memory above 166912 B"),
    ],
)
def test_the_gate_closes_on_spills_and_on_too_much_shared_memory(arch, spilled, shared, fault):
    assert fault_of(Resources(32, spilled, shared, 16, ""), arch) == fault


def test_an_unknown_architecture_is_refused():
    result = run_aot("--arch", "sm_12345")
    assert result.returncode == 2
    assert "valid: sm_80, sm_90, sm_100, gfx942" in result.stderr
