"""The two ways to add upsampled maps to larger ones."""

import pytest
import torch

from sesame_hpc.config import ModelConfig
from sesame_hpc.models.blocks import Hourglass, add_interpolated, add_repeated


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_both_ways_are_one(layout, dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 10).to(dtype).to(memory_format=layout).requires_grad_()
    low = torch.randn(2, 8, 3, 5).to(dtype).to(memory_format=layout).requires_grad_()
    one, other = add_interpolated(x, low), add_repeated(x, low)
    assert one.equal(other)
    assert one.stride() == other.stride()
    assert one[0, 0, 5, 9] == x[0, 0, 5, 9] + low[0, 0, 2, 4]
    gradient = torch.randn(one.shape).to(dtype)
    of_x, of_low = torch.autograd.grad(one, (x, low), gradient)
    expected_of_x, expected_of_low = torch.autograd.grad(other, (x, low), gradient)
    assert of_x.equal(expected_of_x)
    rounding = 1e-6 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(of_low, expected_of_low, rtol=rounding, atol=rounding)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_autocast_leaves_features_in_bfloat16(compiled) -> None:
    config = ModelConfig(stacks=1, width=8, levels=2, image_size=32, map_size=8)
    hourglass = Hourglass(config).cuda()
    call = torch.compile(hourglass, fullgraph=True) if compiled else hourglass
    with torch.autocast("cuda", dtype=torch.bfloat16):
        features = call(torch.randn(2, 8, 8, 8, device="cuda", dtype=torch.bfloat16))
    assert features.dtype == torch.bfloat16
