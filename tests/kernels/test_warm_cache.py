"""A cache that was filled without a GPU is found by the launch path of a run."""

import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton")

from sesame_kernels import soft_argmax
from sesame_kernels.aot.driver import without_device
from sesame_kernels.aot.warming import cache_at
from sesame_kernels.dispatch import triton_on_cpu

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="TRITON_INTERPRET is 1: make test-ptx"
    ),
]
COMMAND = [sys.executable, "-m", "sesame_kernels.aot"]


def test_a_run_compiles_nothing_that_the_cache_has(tmp_path):
    from triton import knobs

    ops = ["--op", "soft_argmax", "soft_argmax_backward"]
    sizes = ["--maps", "5", "--map-side", "8", "--dtype", "fp32", "--arch", "sm_90"]
    command = [*COMMAND, "--warm-cache", str(tmp_path), *ops, *sizes]
    filled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert filled.returncode == 0, filled.stderr
    assert f"sm_90: 4 compiled kernels in {tmp_path}" in filled.stdout

    found: list[bool] = []
    was = knobs.compilation.listener
    knobs.compilation.listener = lambda *, cache_hit, **_: found.append(cache_hit)
    try:
        with cache_at(tmp_path), without_device("sm_90", lambda *_: None), triton_on_cpu():
            for memory_format in (torch.contiguous_format, torch.channels_last):
                maps = torch.zeros(3, 5, 8, 8).contiguous(memory_format=memory_format)
                soft_argmax(maps.requires_grad_()).sum().backward()
            assert found == [True] * 4
            soft_argmax(torch.zeros(3, 5, 8, 6))
            assert found == [True] * 4 + [False]
    finally:
        knobs.compilation.listener = was


def test_the_architecture_has_to_be_given(tmp_path):
    command = [*COMMAND, "--warm-cache", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--warm-cache needs --arch" in refused.stderr
