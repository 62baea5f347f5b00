import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")


@pytest.mark.slow
def test_no_kernel_spills_on_hopper():
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "sesame_kernels.aot", "--arch", "90"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    for kernel in ("soft_argmax_backward_kernel", "mean_kernel", "noise_mask_kernel"):
        assert kernel in result.stdout
