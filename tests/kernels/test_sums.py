"""The second stage of the kernels' sums, with more parts than one step of its loop takes."""

import pytest
import torch
from kernel_inputs import randn
from sesame_kernels.dispatch import runs_reference


@pytest.fixture
def sums(device):
    if runs_reference(device):
        pytest.skip("the reference has no second stage")
    return pytest.importorskip("sesame_kernels.fused.sums")


@pytest.mark.parametrize("count", [1, 1024, 2500])
def test_mean_of_partial_sums(device, sums, count):
    partials = randn((count,), device) + 3.0
    expected = partials.double().sum() / 7
    torch.testing.assert_close(sums.mean(partials, 7).double(), expected, rtol=1e-6, atol=0)
